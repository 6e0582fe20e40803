"""Trials before a fine-tuning: which ways are tried, which one wins, and what is kept of it."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from pipeline.common.errors import TrainingDiverged
from pipeline.common.screen import Screen
from pipeline.training.adapters import search
from pipeline.training.auto import Tuning
from pipeline.training.schedule import Schedule
from pipeline.training.state import Best, Budget, ComputePlan, TrainState

USUAL = Tuning(rank=8, alpha=16.0, learning_rate=1e-3)


class Trainer:
    """Answers with a made-up validation: the best is a rank of 4."""

    def __init__(self) -> None:
        self.asked: list[tuple[Tuning, float, str]] = []

    def __call__(self, tuning: Tuning, minutes: float, folder, key: str) -> TrainState:
        self.asked.append((tuning, minutes, key))
        folder.mkdir(parents=True, exist_ok=True)
        best = 2.0 + abs(math.log(tuning.rank / 4)) + abs(math.log(tuning.learning_rate / 1e-3))
        return TrainState(
            key, Budget(10, minutes), Schedule.of(10), 1, 4, ComputePlan(4), best=Best(best)
        )


@pytest.fixture
def screen() -> Screen:
    return Screen(Console(file=io.StringIO(), width=200))


@pytest.fixture
def trials(tmp_path, screen):
    (tmp_path / search.TRIALS).mkdir()
    return lambda trainer, key: search.Trials(trainer, tmp_path, key, screen)


def test_the_best_by_validation_wins_and_is_not_looked_for_again(trials, screen):
    trainer = Trainer()
    found, spent = trials(trainer, "key").best(USUAL, 20)
    assert found == replace(USUAL, rank=4, alpha=8.0)
    assert spent == pytest.approx(8)
    assert len({key for *_, key in trainer.asked}) == len(trainer.asked) == 5
    again = trials(trainer, "key").best(USUAL, 20)
    assert again == (found, spent)
    assert len(trainer.asked) == 5
    trials(trainer, "another").best(USUAL, 20)
    assert len(trainer.asked) == 10


def test_a_way_that_goes_astray_is_not_the_best(trials, screen):
    trainer = Trainer()

    def train(tuning: Tuning, *given) -> TrainState:
        if tuning.rank == 4:
            raise TrainingDiverged(
                "At step 9 the loss became nan, and a lower rate did not help; set …"
            )
        return trainer(tuning, *given)

    found, _ = trials(train, "key").best(USUAL, 20)
    assert found == USUAL
    assert (
        "At step 9 the loss became nan, and a lower rate did not help\n"
        in screen.console.file.getvalue()
    )


def test_a_small_budget_is_not_wasted_on_trials(trials, screen):
    trainer = Trainer()
    assert trials(trainer, "key").best(USUAL, 5) == (USUAL, 0.0)
    assert not trainer.asked
    assert "it needs 12.5" in screen.console.file.getvalue()


def test_full_fine_tuning_has_no_rank_to_try():
    ways = search.variants(replace(USUAL, method="full"))
    assert {way.rank for way in ways} == {8}
    assert len(ways) == len(search.RATES)
