"""The silence that parts conversations, read off the gaps of a chat."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from pipeline.dialogue.silence import DEFAULT_SILENCE, detect_silence, valley
from pipeline.exports.message import Message


def gaps(within: float, between: float, seed: int = 0) -> np.ndarray:
    """Many gaps around one length, and a tenth as many around another, in minutes."""
    rng = np.random.default_rng(seed)
    short = within * np.exp(rng.normal(0, 0.8, 3000))
    long = between * np.exp(rng.normal(0, 0.8, 300))
    return np.concatenate((short, long))


@pytest.mark.parametrize(("within", "between"), [(1, 600), (0.3, 120), (4, 1500)])
def test_it_lies_between_the_two_kinds_of_gaps(within, between):
    silence = valley(gaps(within, between))
    assert 3 * within < silence < between / 2


def test_a_slower_chat_gets_a_longer_silence():
    assert valley(gaps(0.5, 120)) < valley(gaps(5, 1500))


def test_a_chat_with_few_long_gaps_gets_the_usual_one():
    assert valley([1.0] * 500 + [600.0] * 5) == DEFAULT_SILENCE
    assert valley([]) == DEFAULT_SILENCE


def test_gaps_between_two_chats_are_not_counted():
    start = datetime(2024, 1, 1)
    one = [Message(start + timedelta(minutes=n), "Ana", "hi", "text", 0) for n in range(50)]
    two = [Message(start - timedelta(days=n), "Ben", "hi", "text", n + 1) for n in range(50)]
    assert detect_silence([*one, *two]) == DEFAULT_SILENCE
