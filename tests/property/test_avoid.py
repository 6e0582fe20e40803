"""A reply never holds an avoided word, however the vocabulary cuts it, and always ends."""

from __future__ import annotations

import random
import re
from collections.abc import Generator
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.common.speakers import fold
from pipeline.serving.rules import AvoidedWords, MaxMessages, OtherSpeakers, Repetition
from pipeline.serving.streaming import stream_reply

LETTERS = "abAé é\u0301ßK\n.-😂❤\ufe0f\u200b"  # few, so that words come about by chance
pieces = st.lists(st.text(LETTERS, min_size=1, max_size=4), min_size=3, max_size=12)
words = st.lists(
    st.text("abéß😂", min_size=1, max_size=3)
    | st.tuples(st.text("ab", min_size=1, max_size=2), st.text("aé", min_size=1, max_size=2)).map(
        " ".join
    ),
    min_size=1,
    max_size=5,
)
patience = st.sampled_from([0, 1, 5, 64])


def vocabulary(texts: list[str], cut: int) -> list[bytes]:
    """The single bytes, and longer pieces of which some begin or end within a character."""
    longer = [text.encode() for text in texts]
    ends = [piece[cut:] or b"a" for piece in longer]
    starts = [piece[: len(piece) - cut] or b"a" for piece in longer]
    return [*(bytes([n]) for n in range(256)), *longer, *ends, *starts]


def holds(text: str, word: str) -> bool:
    """The same question asked another way: by a regular expression on the whole text, folded."""
    units = re.findall(r"[^\W_]+|[😂❤\ufffd]", fold(text))
    wanted = re.findall(r"[^\W_]+|[😂❤\ufffd]", fold(word))
    return any(units[n : n + len(wanted)] == wanted for n in range(len(units)))


@settings(max_examples=150, deadline=None)
@given(pieces, st.integers(0, 2), words, st.integers(0, 2**32), st.integers(0, 40), patience)
def test_no_vocabulary_spells_an_avoided_word(texts, cut, avoided, seed, longest, patience):
    tokens = vocabulary(texts, cut)
    luck = random.Random(seed)
    given_ids: list[int] = []
    shown, steps = "", 0

    def draw(ids: list[int], banned: frozenset[int]) -> Generator[int]:
        nonlocal steps
        assert ids[: len(given_ids)] == given_ids, "what was shown is taken back"
        for n in range(longest - len(ids)):
            steps += 1
            if luck.random() < 0.05:
                return
            # Mostly the long pieces, so that words are hit and hit again.
            likely = range(256, len(tokens)) if luck.random() < 0.95 else range(256)
            yield luck.choice([i for i in likely if n or i not in banned] or [ord("x")])

    def decode(ids: list[int]) -> bytes:
        return b"".join(tokens[i] for i in ids)

    endings = [Repetition(), OtherSpeakers(["ab"]), MaxMessages(3)]
    with patch("pipeline.serving.streaming.MAX_RETRIES", patience):
        for ids, text in stream_reply(draw, decode, AvoidedWords(avoided), endings):
            given_ids += ids
            shown += text
    assert shown == decode(given_ids).decode("utf-8", "replace")
    assert len(given_ids) <= longest
    assert steps <= (patience + 1) * (longest + 1)
    for word in avoided:
        assert not holds(shown, word), (shown, word)


@settings(max_examples=150, deadline=None)
@given(pieces, st.integers(0, 2**32))
def test_without_rules_every_id_comes_at_once_and_as_it_was_drawn(texts, seed):
    tokens = vocabulary(texts, 0)
    drawn = random.Random(seed).choices(range(256, len(tokens)), k=20)

    def draw(ids: list[int], banned: frozenset[int]) -> Generator[int]:
        yield from drawn

    def decode(ids: list[int]) -> bytes:
        return b"".join(tokens[i] for i in ids)

    pieces = list(stream_reply(draw, decode, AvoidedWords(()), []))
    assert [ids for ids, _ in pieces] == [[i] for i in drawn]
