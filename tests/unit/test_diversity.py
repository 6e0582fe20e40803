"""Diversity: distinct n-grams on equal amounts of text, equal replies, loops."""

from __future__ import annotations

import random

import pytest

from pipeline.common.words import words
from pipeline.evaluation.diversity import distinct, diversity, loops, same
from pipeline.evaluation.moments import Reply


def said(count: int, vocabulary: int, seed: int, per_prompt: int = 1) -> list[Reply]:
    rng = random.Random(seed)
    return [
        Reply(" ".join(f"w{rng.randrange(vocabulary)}" for _ in range(8)), n // per_prompt)
        for n in range(count)
    ]


def test_distinct_counts_within_replies():
    assert distinct([["a", "b", "a"], ["a", "b"]], 1) == 2 / 5
    assert distinct([["a", "b", "a"], ["a", "b"]], 2) == 2 / 3
    assert distinct([], 2) == 0


def test_equal_replies():
    assert same(["ok", "ok", "no", "yes"]) == 0.5
    assert same([]) == 0


@pytest.mark.parametrize(
    ("text", "is_loop"),
    [
        ("so we go so we go so we go", True),
        ("well so we go now so we go now so we go now and", True),
        ("so we go so we go", False),
        ("no no no", False),
        ("ha " * 9, True),
        ("so we go and so we go and so we stay", False),
        ("", False),
    ],
)
def test_a_loop_is_three_words_three_times(text, is_loop):
    assert loops(words(text)) is is_loop


def test_the_same_manner_is_at_the_ceiling_whatever_the_amount():
    found = diversity(said(60, 50, 1), said(400, 50, 2), seed=1)
    for name in ("distinct_1", "distinct_2", "distinct_3"):
        score = found[name]
        assert score["low"] <= score["value"] <= score["high"]
        assert score["value"] == pytest.approx(score["ceiling"], abs=0.05)
    assert "480 words" in found["distinct_1"]["note"]


def test_poorer_words_and_equal_replies_are_seen():
    real = said(100, 200, 1)
    made = [*said(80, 10, 2), *(Reply("i do not know", 80 + n) for n in range(20))]
    found = diversity(real, made, seed=1)
    assert found["distinct_1"]["high"] < found["distinct_1"]["ceiling"]
    assert found["same_replies"]["value"] == pytest.approx(0.2)
    assert found["same_replies"]["low"] > found["same_replies"]["ceiling"] == 0


def test_alike_replies_to_one_prompt_are_no_repetition():
    once = said(50, 100, 1)
    thrice = [Reply(r.text, r.prompt) for r in once for _ in range(3)]
    assert diversity(once, thrice, seed=1)["same_replies"]["value"] == 0


def test_case_and_spacing_are_folded_but_emoji_are_not():
    real = said(4, 9, 1)
    made = [Reply("Ok  then", 0), Reply("ok then", 1), Reply("😂", 2), Reply("👍", 3)]
    assert diversity(real, made, seed=1)["same_replies"]["value"] == 0.5


def test_no_loops_in_few_replies_prove_little():
    loop = diversity(said(20, 50, 1), said(20, 50, 2), seed=1)["loops"]
    assert loop["value"] == loop["low"] == 0
    assert 0.1 < loop["high"] < 0.25


def test_nothing_to_measure():
    found = diversity([], [], seed=1)
    assert all(score["value"] is None and score["note"] for score in found.values())
    assert diversity(said(9, 9, 1), [Reply("", 0), Reply("", 1)], 1)["distinct_1"]["value"] is None
