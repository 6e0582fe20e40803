"""Bits per byte: every target once, with context, whatever the block."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.intervals import ratio_interval, score
from pipeline.training.validation import measure, row_batches, row_losses, windows
from transformer.config import ModelConfig
from transformer.decoder import Decoder

CONFIG = ModelConfig(vocab_size=50, block=16, width=16, layers=1, heads=2, dropout=0.5)


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(CONFIG)


@given(st.integers(2, 200), st.integers(2, 32))
def test_windows_give_every_target_once_with_half_a_block_of_context(length, block):
    ids = np.arange(length)
    found = []
    for x, y in windows(ids, block):
        assert x.shape == y.shape
        assert x.shape[1] <= block
        for row_x, row_y in zip(x.tolist(), y.tolist(), strict=True):
            for at, target in enumerate(row_y):
                if target != -1:
                    assert row_x[at] == target - 1
                    found.append(target)
                    assert at >= min(target - 1, block - max(1, block // 2))
    assert found == list(range(1, length))


def test_a_uniform_model_needs_log2_v_bits_a_token(decoder):
    with torch.no_grad():
        decoder.tokens.weight.zero_()
    loss = measure(decoder, windows(np.arange(40) % 50, 16), text_bytes=39)
    assert loss.targets == 39
    assert loss.bits_per_byte == pytest.approx(math.log2(50), rel=1e-5)
    assert loss.per_token == pytest.approx(math.log(50), rel=1e-5)


def test_measuring_switches_dropout_off_and_on_again(decoder):
    decoder.train()
    ids = np.arange(40) % 50
    assert measure(decoder, windows(ids, 16), 1) == measure(decoder, windows(ids, 16), 1)
    assert decoder.training


def test_row_losses_add_up_to_the_whole(decoder):
    rows = np.full((5, 2, 16), -1)
    for n in range(5):
        rows[n, 0, : n + 3] = np.arange(n + 3)
        rows[n, 1, 1 : n + 3] = np.arange(2, n + 4)
    nats, targets = row_losses(decoder, rows)
    whole = measure(decoder, row_batches(rows), 1)
    assert targets.tolist() == [2, 3, 4, 5, 6]
    assert nats.sum() == pytest.approx(whole.nats, rel=1e-5)
    alone, _ = row_losses(decoder, rows[3:4])
    assert nats[3] == pytest.approx(alone[0], rel=1e-4)


def test_an_interval_holds_the_ratio_and_narrows_with_more_rows():
    rng = np.random.default_rng(0)
    top, bottom = rng.uniform(1, 3, 400), np.ones(400)
    wide = ratio_interval(top[:20], bottom[:20], 1)
    narrow = ratio_interval(top, bottom, 1)
    assert narrow[0] < top.mean() < narrow[1]
    assert narrow[1] - narrow[0] < wide[1] - wide[0]


def test_a_score_that_could_not_be_measured_says_why():
    assert score(None, note="nothing to measure on") == {
        "value": None, "low": None, "high": None, "floor": None, "ceiling": None, "n": 0,
        "note": "nothing to measure on",
    }  # fmt: skip


@given(st.lists(st.integers(1, 300), min_size=1, max_size=400))
def test_a_batch_of_rows_is_never_wider_than_its_memory(lengths):
    rows = np.full((len(lengths), 2, 300), -1, dtype=np.int32)
    for row, length in zip(rows, lengths, strict=True):
        row[:, :length] = 1
    batches = [x.shape for x, _ in row_batches(rows)]
    assert sum(count for count, _ in batches) == len(lengths)
    assert all(count == 1 or count * width <= 4096 for count, width in batches)
