"""The proof as a whole, on a decoder that knows nothing: all figures come, and within the time."""

from __future__ import annotations

import time

import pytest
import torch

from minbpe import RegexTokenizer
from pipeline.common.screen import Screen
from pipeline.dialogue.template import SPECIAL
from pipeline.dialogue.turns import Turn
from pipeline.evaluation.likeness import Clock, Evidence, Proof
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
def proof(console):
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

    def made(seconds: float) -> Proof:
        screen, clock = Screen(console), Clock(seconds)
        name = "the untuned base"
        return Proof(own, floor, name, decoders[1], evidence, 1, screen, clock, 1 << 40)

    return made


def test_with_time_everything_is_read_and_as_much_is_answered_as_asked(proof):
    found = proof(60.0)
    found.run(80)
    assert len(found.made) == len(found.beneath) >= 80
    bits = found.scores["bits_per_byte"]
    assert bits["n"] == 60
    assert bits["low"] < bits["value"] < bits["high"]
    assert bits["floor"] > 5
    assert found.scores["wrong_persona_gap"]["n"] == 20  # every third conversation
    assert found.scores["ranked_first"]["n"] == 60
    assert {"length_distance", "distinct_2", "copied_text", "attribution"} <= found.scores.keys()


def test_without_time_there_is_a_little_of_everything(proof):
    found = proof(0.5)
    began = time.monotonic()
    found.run(100_000)
    assert time.monotonic() - began < 30  # far more would take hours
    assert 0 < len(found.made) < 100_000
    assert found.scores["bits_per_byte"]["value"] is not None
    assert 2 <= found.scores["ranked_first"]["n"] < 60
    assert "length_distance" in found.scores
