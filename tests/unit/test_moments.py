"""Moments to answer, and the voices that answer them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minbpe import RegexTokenizer
from pipeline.dialogue.template import SPECIAL, opening, render
from pipeline.dialogue.turns import Turn
from pipeline.evaluation.moments import Moment, Reply, moments
from pipeline.evaluation.voice import Voice
from pipeline.report.samples import exchanges
from pipeline.workspace.settings import Chat
from transformer.config import ModelConfig
from transformer.decoder import Decoder

TOKENIZER = RegexTokenizer((), special=SPECIAL)
CONFIG = ModelConfig(vocab_size=TOKENIZER.size, block=128, width=16, layers=2, heads=2, dropout=0.0)
BEFORE = [Turn("Ben", ("hi", "you there?")), Turn("Ana", ("yes",)), Turn("Ben", ("soup?",))]
MOMENT = Moment(1, BEFORE, "always")


@pytest.fixture
def voice() -> Voice:
    torch.manual_seed(0)
    return Voice(Decoder(CONFIG).eval(), TOKENIZER, Chat(), "Ana", max_tokens=12)


def row(*said: tuple[str, str, bool]) -> dict[str, object]:
    turns = [{"speaker": s, "text": t, "learned": learned} for s, t, learned in said]
    return {"turns": turns}


def test_a_moment_is_a_learned_turn_with_all_that_was_said_before():
    rows = [
        row(("Ana", "first", True), ("Ben", "hi\nyou", True), ("Ana", "yes", True)),
        row(("Ben", "a", False), ("Ana", "b", False), ("Ben", "c", False), ("Ana", "d", True)),
    ]
    found = moments(rows, "Ana")
    assert [(m.number, len(m.before), m.real) for m in found] == [(1, 2, "yes"), (2, 3, "d")]
    assert found[0].before[1].messages == ("hi", "you")
    assert [m.real for m in moments(rows, "Ben")] == ["hi\nyou"]
    assert [m.number for m in moments(rows * 10, "Ana", 4)] == [1, 2, 3, 4]


def test_the_context_is_whole_turns_and_the_opening(voice):
    ids, _ = render(BEFORE, TOKENIZER)
    assert voice.context(MOMENT) == [*ids, *opening("Ana", TOKENIZER)]
    long = Moment(1, [Turn("Ben", ("x" * 200,)), Turn("Ben", ("short",))], "")
    kept, _ = render(long.before[1:], TOKENIZER)
    assert voice.context(long) == [*kept, *opening("Ana", TOKENIZER)]


def test_somebody_else_has_changed_names_with_the_persona(voice):
    other = Voice(voice.decoder, TOKENIZER, voice.chat, "Ben", instead_of="Ana")
    swapped = [Turn({"Ana": "Ben", "Ben": "Ana"}[t.speaker], t.messages) for t in BEFORE]
    ids, _ = render(swapped, TOKENIZER)
    assert other.context(MOMENT) == [*ids, *opening("Ben", TOKENIZER)]


def test_every_moment_gets_its_replies_and_the_same_seed_the_same(voice):
    asked = [MOMENT, Moment(7, BEFORE[:1], "what")]
    made = voice.replies(asked, 3, seed=5)
    assert [reply.prompt for reply in made] == [1, 1, 1, 7, 7, 7]
    assert made == voice.replies(asked, 3, seed=5)
    assert made != voice.replies(asked, 3, seed=6)


def test_chances_are_those_of_the_whole_rendered_turn(voice):
    texts = ["always", "no", "a much longer answer than that"]
    found = voice.chances(voice.context(MOMENT), texts)
    for text, chance in zip(texts, found, strict=True):
        last = Turn("Ana", (text,))
        ids, mask = render([*BEFORE, last], TOKENIZER, last.__eq__)
        with torch.no_grad():
            logs = voice.decoder(torch.tensor([ids[:-1]]))[0].log_softmax(-1)
        wanted = [n for n, m in enumerate(mask) if m]
        right = sum(float(logs[n - 1, ids[n]]) for n in wanted)
        np.testing.assert_allclose(chance, right, rtol=1e-4)


def test_samples_take_the_first_reply_to_moments_that_were_answered():
    asked = [Moment(n, BEFORE, f"real {n}") for n in range(1, 11)]
    made = [Reply(f"{word} {n}", n) for n in (2, 4, 6, 8) for word in ("first", "second")]
    found = exchanges(asked, made, 2)
    assert [(e.real, e.generated) for e in found] == [("real 2", "first 2"), ("real 6", "first 6")]
    assert len(exchanges(asked, made, 20)) == 4


def test_a_candidate_longer_than_the_block_counts_as_far_as_it_fits(voice):
    context = voice.context(MOMENT)
    room = CONFIG.block - len(context) + 1
    long, cut = voice.chances(context, ["x" * 500, "x" * room])
    assert long == pytest.approx(cut)


def test_of_a_wall_of_text_the_end_is_seen(voice):
    wall = Moment(1, [Turn("Ben", ("a" * 300 + "z",))], "")
    ids = voice.context(wall)
    assert len(ids) <= CONFIG.block // 2
    assert ids[: len(opening("Ben", TOKENIZER))] == opening("Ben", TOKENIZER)
    assert TOKENIZER.encode("z")[0] in ids
