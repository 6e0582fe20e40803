"""Ranks of the right reply among others."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.prediction import rank_scores


def test_a_model_that_knows_and_one_that_does_not():
    rng = np.random.default_rng(0)
    guesses = rng.normal(size=(400, 20))
    blind = rank_scores(guesses, seed=1)
    assert blind["ranked_first"]["low"] < 0.05 < blind["ranked_first"]["high"]
    assert blind["mean_reciprocal_rank"]["low"] < 0.1799 < blind["mean_reciprocal_rank"]["high"]
    guesses[:, 0] += 10
    knows = rank_scores(guesses, seed=1)
    assert knows["ranked_first"]["value"] == knows["mean_reciprocal_rank"]["value"] == 1
    assert knows["ranked_first"]["floor"] == 0.05
    assert knows["ranked_first"]["n"] == 400


def test_ranks_are_counted_from_the_right_one():
    rows = np.array([[3.0, 1, 2], [2, 3, 1], [1, 2, 3], [3, 2, 1]])
    found = rank_scores(rows, seed=1)
    assert found["mean_reciprocal_rank"]["value"] == pytest.approx(
        (1 + 1 / 2 + 1 / 3 + 1) / 4, abs=1e-4
    )
    assert found["ranked_first"]["value"] == 0.5


@pytest.mark.parametrize("value", [0.0, -np.inf, np.nan])
def test_a_model_that_tells_nothing_apart_is_at_chance(value):
    for score in rank_scores(np.full((5, 20), value), seed=1).values():
        assert score["value"] == score["floor"]


def test_a_tie_counts_half():
    found = rank_scores(np.array([[1.0, 1, 0], [1, 0, 1]]), seed=1)
    assert found["ranked_first"]["value"] == 0.5
    assert found["mean_reciprocal_rank"]["value"] == 0.75


def test_too_few_to_rank():
    assert all(s["value"] is None and s["note"] for s in rank_scores(np.zeros((1, 20)), 1).values())
