"""The evaluation as a whole, on an untrained decoder: all scores are there, and in time."""

from __future__ import annotations

import time

import pytest
import torch

from minbpe import RegexTokenizer
from pipeline.common.screen import Screen
from pipeline.dialogue.template import SPECIAL
from pipeline.dialogue.turns import Turn
from pipeline.evaluation import intervals, likeness
from pipeline.evaluation.likeness import Clock, Evaluator, Evidence
from pipeline.evaluation.moments import Moment
from pipeline.evaluation.voice import Voice
from pipeline.workspace.settings import Chat
from transformer.config import ModelConfig
from transformer.decoder import Decoder

TOKENIZER = RegexTokenizer((), special=SPECIAL)


def said(number: int) -> list[Turn]:
    """A conversation of two, in which both answer twice."""
    return [
        Turn("Ben", (f"are you up {number}?",)),
        Turn("Ana", (f"yes, {number} times",)),
        Turn("Ben", ("and now?",)),
        Turn("Ana", (f"still {number}",)),
    ]


@pytest.fixture
def evaluator(console, monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 400)
    monkeypatch.setattr(likeness, "AUTHORSHIP_SECONDS", 0.5)
    config = ModelConfig(vocab_size=TOKENIZER.size, block=128, width=16, layers=1, heads=2)
    decoders = [Decoder(config, torch.Generator().manual_seed(n)).eval() for n in (1, 2)]
    own, floor = (Voice(d, TOKENIZER, Chat(), "Ana", max_tokens=12) for d in decoders)
    test = [said(n) for n in range(30)]
    moments = [
        Moment(2 * n + at, turns[:end], turns[end].text)
        for n, turns in enumerate(test)
        for at, end in ((1, 1), (2, 3))
    ]
    train = [said(n) for n in range(100, 160)]
    evidence = Evidence("Ana", moments, test, train)

    def made(seconds: float) -> Evaluator:
        screen, clock = Screen(console), Clock(seconds)
        name = "the untuned base"
        return Evaluator(own, floor, name, decoders[1], evidence, 1, screen, clock, 1 << 40)

    return made


def test_with_time_everything_is_read_and_as_much_is_answered_as_asked(evaluator):
    measured = evaluator(60.0)
    measured.run(80)
    assert len(measured.replies) == len(measured.floor_replies) >= 80
    bits = measured.scores["bits_per_byte"]
    assert bits["n"] == 60
    assert bits["low"] < bits["value"] < bits["high"]
    assert bits["floor"] > 5
    assert measured.scores["wrong_persona_gap"]["n"] == 20  # every third conversation
    assert measured.scores["ranked_first"]["n"] == 60
    assert {"length_distance", "distinct_2", "copied_text"} <= measured.scores.keys()
    assert {"attribution", "attribution_by_decoder"} <= measured.scores.keys()


def test_without_time_there_is_a_little_of_everything(evaluator):
    measured = evaluator(0.5)
    began = time.monotonic()
    measured.run(100_000)
    assert time.monotonic() - began < 30  # far more would take hours
    assert 0 < len(measured.replies) < 100_000
    assert measured.scores["bits_per_byte"]["value"] is not None
    assert 2 <= measured.scores["ranked_first"]["n"] < 60
    assert "length_distance" in measured.scores
