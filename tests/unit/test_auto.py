"""What `auto` picks: more text and more time never make for less."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training import auto
from pipeline.workspace.settings import Model
from transformer.presets import PRESETS

TOKENS = st.integers(1_000, 10**10)
OPERATIONS = st.floats(1e10, 1e21)


def picked(tokens, operations=math.inf, **model):
    return auto.model_config(Model(**model), tokens, 1029, 1028, operations)


def size(config):
    return config.width * config.layers


@given(tokens=TOKENS, more=st.integers(1, 1000), operations=OPERATIONS)
def test_more_text_never_makes_a_smaller_decoder(tokens, more, operations):
    assert size(picked(tokens, operations)) <= size(picked(tokens * more, operations))


@given(tokens=TOKENS, operations=OPERATIONS, more=st.floats(1, 1e6))
def test_more_time_never_makes_a_smaller_decoder(tokens, operations, more):
    assert size(picked(tokens, operations)) <= size(picked(tokens, operations * more))


@given(tokens=TOKENS, operations=OPERATIONS)
def test_what_is_read_once_is_learned_without_dropout(tokens, operations):
    config = picked(tokens, operations)
    assert config.dropout in (0.0, 0.1, 0.2)
    if tokens > 10**9:
        assert config.dropout == 0.0


@pytest.mark.parametrize(
    ("tokens", "operations", "width", "dropout"),
    [
        (383_000, 136e9 * 80, 128, 0.0),  # a megabyte in a minute and a half on two slow cores
        (383_000, 136e9 * 570, 192, 0.2),  # … in ten minutes
        (383_000, 420e9 * 700, 256, 0.2),  # … on two fast ones
        (30_000, 136e9 * 60, 128, 0.2),
    ],
)
def test_what_is_picked_for_usual_texts(tokens, operations, width, dropout):
    config = picked(tokens, operations)
    assert (config.width, config.dropout) == (width, dropout)


def test_what_is_named_wins():
    config = picked(383_000, 1e13, size="base", dropout=0.3, block=64)
    assert (config.width, config.dropout, config.block) == (512, 0.3, 64)
    assert picked(383_000, 1e13, width=64, heads=2, kv_heads=1).width == 64


def test_presets_stand_in_order_of_size():
    named = ("tiny", "slim", "small", "base")
    assert [name for name in PRESETS if name in named] == list(named)


@given(tokens=TOKENS, more=st.integers(1, 1000))
def test_more_text_is_never_pulled_harder(tokens, more):
    little, much = (auto.weight_decay("auto", n, warm_start=False) for n in (tokens, tokens * more))
    assert little >= much


@pytest.mark.parametrize(
    ("setting", "tokens", "begun", "decay"),
    [
        ("auto", 5_000, False, 4.0),
        ("auto", 40_000, False, 1.0),
        ("auto", 400_000, False, 0.1),
        ("auto", 5_000, True, 0.1),
        (0.2, 5_000, False, 0.2),
    ],
)
def test_little_text_pulls_hard_but_not_on_what_was_learned(setting, tokens, begun, decay):
    assert auto.weight_decay(setting, tokens, begun) == decay


def test_more_text_gets_a_longer_block_and_a_head_of_its_own():
    little, more = picked(auto.SMALL_CORPUS_TOKENS), picked(auto.SMALL_CORPUS_TOKENS + 1, 1e13)
    assert (little.tied, little.block, little.conv_kernel) == (True, 128, 4)
    assert (more.tied, more.block, more.conv_kernel) == (False, 256, 4)
    assert picked(auto.SMALL_CORPUS_TOKENS + 1, size="small").tied
    assert picked(auto.SMALL_CORPUS_TOKENS + 1, conv_kernel=1).conv_kernel == 1


def test_it_says_what_to_expect():
    told = [auto.expectation(10**n) for n in range(3, 11)]
    assert len(set(told)) == 4
    assert told == sorted(told, key=told.index)


@pytest.mark.parametrize(
    ("setting", "begun", "rate"),
    [("auto", False, 6e-3), ("auto", True, 2.1e-3), (0.01, True, 0.01)],
)
def test_what_was_learned_before_is_changed_more_gently(setting, begun, rate):
    assert auto.learning_rate(setting, 256, begun) == pytest.approx(rate)
