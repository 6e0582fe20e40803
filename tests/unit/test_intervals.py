"""Prompts drawn again: whole prompts, kind by kind."""

from __future__ import annotations

import numpy as np

from pipeline.evaluation.intervals import RESAMPLES, by_kind, resample_counts, resampled
from pipeline.evaluation.moments import Reply

REPLIES = [Reply(f"{n}", prompt, kind) for n, (prompt, kind) in enumerate(
    [(0, "a"), (1, "b"), (0, "a"), (2, "a"), (1, "b"), (1, "a")]
)]  # fmt: skip


def test_kinds_are_kept_apart_in_order():
    assert [part.tolist() for part in by_kind(REPLIES)] == [[0, 2, 3, 5], [1, 4]]


def test_whole_prompts_are_drawn_of_each_kind():
    draws = list(resampled(REPLIES, seed=1))
    assert len(draws) == RESAMPLES
    for first, second in draws[:50]:
        assert set(first.tolist()) <= {0, 2, 3, 5}
        assert np.count_nonzero(first == 0) == np.count_nonzero(first == 2)
        assert second.tolist() == [1, 4]


def test_weights_count_the_draws_and_follow_the_seed():
    counted = resample_counts(REPLIES, seed=1)
    assert counted.shape == (RESAMPLES, len(REPLIES))
    assert (counted[:, 0] == counted[:, 2]).all()
    assert abs(counted[:, 3].mean() - 1) < 0.1
    assert (counted == resample_counts(REPLIES, seed=1)).all()
    assert (counted != resample_counts(REPLIES, seed=2)).any()
