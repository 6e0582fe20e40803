"""Near-duplicates among the turns to learn: what counts as one, and how many stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dialogue.repeats import ALWAYS_LEARNED, limit_repeats, near_duplicate_key
from pipeline.dialogue.turns import Turn


@pytest.mark.parametrize(
    "same",
    [
        ["ok", "OK", "Ok!", "okk", " ok... "],
        ["haha", "hahahaha", "HAHA!!", "ha ha ha"],
        ["jaja", "jajajá"],
        ["😂", "😂😂😂", "😂 😂"],
        ["no", "Nooo", "no."],
    ],
)
def test_ways_of_writing_the_same_have_one_key(same):
    assert len(set(map(near_duplicate_key, same))) == 1


def test_different_things_stay_different():
    said = ["ok", "no", "😂", "❤", "?", "hmm", "on my way", "of course", "да", "نعم"]
    assert len(set(map(near_duplicate_key, said))) == len(said)


def test_a_long_line_that_is_said_every_night_is_thinned_too():
    turns = [Turn("Ana", ("Good night, my love, sleep well!",)) for _ in range(300)]
    (limited,) = limit_repeats([turns], [[True] * 300], None)
    assert sum(limited) == ALWAYS_LEARNED


def test_only_what_is_said_too_often_is_taken_out_evenly():
    turns = [
        Turn("Ana", ("ok" if n % 2 else f"this is message number {n} of many",)) for n in range(200)
    ]
    (limited,) = limit_repeats([turns], [[True] * 200], 10)
    kept = [n for n, is_learned in enumerate(limited) if is_learned and n % 2]
    assert len(kept) == 10
    assert kept[0] < 20
    assert kept[-1] > 170
    assert all(is_learned for n, is_learned in enumerate(limited) if not n % 2)


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(["ok", "ha", "hm hm"]), st.booleans()), max_size=40),
        max_size=5,
    )
)
def test_nothing_becomes_learned_and_few_repeats_stay_as_they_are(said):
    turns = [[Turn("Ana", (text,)) for text, _ in conversation] for conversation in said]
    learned = [[w for _, w in conversation] for conversation in said]
    limited = limit_repeats(turns, learned, None)
    for before, after in zip(learned, limited, strict=True):
        assert all(b or not a for b, a in zip(before, after, strict=True))
    if sum(map(sum, learned)) <= ALWAYS_LEARNED:
        assert limited == learned
