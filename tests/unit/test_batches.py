"""Batches are a pure function of their number, and visit what their loader promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common.errors import DataError
from pipeline.training.batches import LOADERS, Blocks, Rows, shuffled, trimmed

IDS = np.arange(103, dtype=np.uint16)


@given(st.integers(1, 500), st.integers(0, 2**32), st.integers(0, 3))
def test_shuffled_visits_everything_once_an_epoch(count, seed, epoch):
    numbers = np.arange(epoch * count, (epoch + 1) * count)
    assert sorted(shuffled(numbers, count, seed)) == list(range(count))


def test_epochs_and_seeds_have_different_orders():
    order = [
        shuffled(np.arange(e * 200, (e + 1) * 200), 200, s).tolist()
        for e, s in [(0, 1), (1, 1), (0, 2)]
    ]
    assert order[0] != order[1] != order[2] != order[0]
    assert order[0] != list(range(200))


@pytest.mark.parametrize("loader", LOADERS)
def test_y_is_x_moved_by_one_and_a_batch_is_the_same_whenever_it_is_asked_for(loader):
    data = Blocks(IDS, 8, loader, seed=3)
    x, y = data.batch(40, 4)
    assert x.shape == y.shape == (4, 8)
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert torch.equal(x + 1, y)
    again, _ = Blocks(IDS, 8, loader, seed=3).batch(40, 4)
    assert torch.equal(x, again)


def test_overlapping_takes_every_block_and_blocks_every_token_once():
    walk = Blocks(IDS, 8, "overlapping", 0)
    assert walk.samples_per_epoch == 95
    assert sorted(walk.batch(0, 95)[0][:, 0].tolist()) == list(range(95))
    side = Blocks(IDS, 8, "blocks", 0)
    assert side.samples_per_epoch == 12
    assert sorted(side.batch(0, 12)[1].flatten().tolist()) == list(range(1, 97))


def test_too_little_text_is_said():
    with pytest.raises(DataError, match="too few for one block of 128"):
        Blocks(IDS, 128, "random", 0)


def test_rows_lose_the_columns_that_nobody_uses():
    rows = np.full((2, 2, 6), -1)
    rows[0, :, :3] = [[1, 2, 3], [2, 3, -1]]
    rows[1, :, :2] = [[4, 5], [5, -1]]
    x, y = trimmed(rows)
    assert x.tolist() == [[1, 2, 3], [4, 5, -1]]
    assert y.tolist() == [[2, 3, -1], [5, -1, -1]]
    x, _ = trimmed(rows[..., ::-1].copy())
    assert x.tolist() == [[3, 2, 1], [-1, 5, 4]]
    assert Rows(rows, 0, 2).batch(0, 2)[0].shape == (2, 3)


def made_rows(count: int, longest: int = 40) -> np.ndarray:
    """Rows of mixed lengths; the first id of each is its number."""
    rows = np.full((count, 2, longest), -1)
    for number, length in enumerate(np.random.default_rng(1).integers(1, longest + 1, count)):
        rows[number, :, :length] = number
    return rows


@given(st.integers(1, 90), st.integers(1, 9), st.integers(0, 3), st.integers(0, 2**32))
def test_every_row_is_served_once_a_pass_whatever_is_asked_for_at_a_time(count, size, turn, seed):
    rows = made_rows(count)
    first = turn * count
    ids = Rows(rows, seed, size).batch(first, count)[0][:, 0].tolist()
    assert sorted(ids) == list(range(count))
    again = Rows(rows, seed, size)
    apart = [again.batch(n, 1)[0][0, 0].item() for n in range(first, first + count)]
    assert apart == ids


def test_rows_of_like_length_come_together_in_an_order_that_changes():
    rows = made_rows(400)
    data = Rows(rows, 3, 8)
    passes = [[data.batch(50 * t * 8 + n * 8, 8)[0] for n in range(50)] for t in range(2)]
    for batches in passes:
        real, whole = (sum(f(x) for x in batches) for f in (lambda x: (x >= 0).sum(), torch.numel))
        assert real / whole > 0.9  # about 0.57 in any order
        widths = [x.size(1) for x in batches]
        assert widths[0] == 40
        assert widths != sorted(widths)
        assert widths != sorted(widths, reverse=True)
    first, second = ({frozenset(x[:, 0].tolist()) for x in batches} for batches in passes)
    assert len(first & second) < 5


def test_a_smaller_batch_is_part_of_a_larger_one():
    data = Rows(made_rows(100), 3, 8)
    whole = data.batch(16, 8)[0][:, 0].tolist()
    assert whole == [n for at in (16, 20) for n in data.batch(at, 4)[0][:, 0].tolist()]
