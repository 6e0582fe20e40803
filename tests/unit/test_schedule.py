"""The learning rate: warm-up, constant, decay; extendable and cut short."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pipeline.training.schedule import Schedule


def test_it_warms_up_stays_and_decays_over_the_second_half():
    schedule = Schedule.of(1000)
    rates = [schedule.rate(step) for step in range(1000)]
    assert rates[0] < 0.1
    assert rates[20:500] == [1.0] * 480
    assert all(a > b for a, b in pairwise(rates[500:]))
    assert rates[-1] < 0.01


def test_a_larger_budget_has_the_same_rates_until_the_decay():
    small, large = Schedule.of(20_000), Schedule.of(40_000)
    assert all(small.rate(s) == large.rate(s) for s in range(0, small.decay_from, 50))


def test_decay_now_begins_the_decay_now_and_never_ends_later():
    assert Schedule.of(1000).decay_now(350) == Schedule(700, 350)
    assert Schedule.of(1000).decay_now(499).total == 998


@pytest.mark.parametrize("total", [1, 2, 3])
def test_tiny_runs_work(total):
    assert all(0 < Schedule.of(total).rate(s) <= 1 for s in range(total))
