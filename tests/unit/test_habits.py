"""Distances between habits: 0 for the same, 1 for nothing in common."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.evaluation.habits import HABITS, distance, habits
from pipeline.evaluation.moments import Reply

CASUAL = ["ok", "see you there\nhaha", "no 😂", "wait what", "come home now\nthe soup is cold"] * 8
FORMAL = ["Good evening. I shall be there.", "THE SOUP IS READY!", "Is it? Привет, друзья!"] * 13


def replies(texts: list[str]) -> list[Reply]:
    return [Reply(text, n) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("habit", "text", "found"),
    [
        ("length", "ab\nc", [4]),
        ("burst", "ab\nc", [2]),
        ("emoji", "ha 😂😂\nno\n👨‍👩‍👧 👍🏽", [2, 0, 2]),
        ("punctuation", 'Yes.\nno!\nwhat?!\nwell...\nwell…\nok\n"so."\n好。', [
            ".", "!", "!", "…", "…", "(none)", ".", "."
        ]),
        ("capitals", "Yes sir\nNO\nno\n😂\nI\n¿Qué?\nשלום", [
            "first", "all", "(none)", "(none)", "first", "first", "(none)"
        ]),
        ("openings", "Well, no\n😂\n你好", ["well", "(none)", "你"]),
        ("scripts", "aб1!漢😂", ["LATIN", "CYRILLIC", "CJK"]),
    ],
)  # fmt: skip
def test_what_is_counted(habit, text, found):
    assert list(HABITS[habit].of(text)) == found


def test_the_same_replies_have_no_distance_and_others_have():
    same, tables = habits(replies(CASUAL), replies(CASUAL), replies(FORMAL), CASUAL, seed=1)
    other, _ = habits(replies(CASUAL), replies(FORMAL), replies(FORMAL), CASUAL, seed=1)
    assert set(same) == {f"{name}_distance" for name in HABITS}
    for name, score in same.items():
        assert score["value"] == score["low"] == 0, name
        assert other[name]["value"] == score["floor"] > score["ceiling"], name
        assert other[name]["low"] <= other[name]["value"] <= other[name]["high"], name
    assert tables["burst"] == {"values": [1, 2], "real": [0.6, 0.4], "generated": [0.6, 0.4]}


def test_the_ceiling_is_what_chance_leaves_at_this_size():
    few, _ = habits(replies(CASUAL), replies(CASUAL[:10]), [], CASUAL, seed=1)
    many, _ = habits(replies(CASUAL), replies(CASUAL[:35]), [], CASUAL, seed=1)
    assert few["length_distance"]["ceiling"] > many["length_distance"]["ceiling"] > 0
    assert few["length_distance"]["floor"] is None


def test_only_the_usual_openings_are_told_apart():
    usual = [f"w{n} x" for n in range(60) for _ in range(60 - n)]
    real, made = replies(["w59 x"] * 5), replies(["w58 x", "unheard"])
    scores, tables = habits(real, made, [], usual, seed=1)
    assert scores["openings_distance"]["value"] == 0
    assert len(tables["openings"]["values"]) == 51
    assert tables["openings"]["generated"][-1] == 1


def test_what_is_not_there_is_not_measured():
    scores, tables = habits(replies(["😂", "👍"]), replies(["ok"]), [], ["😂"], seed=1)
    assert scores["scripts_distance"]["value"] is None
    assert scores["scripts_distance"]["note"]
    assert scores["length_distance"]["value"] is not None
    none, tables = habits([], [], [], [], seed=1)
    assert all(score["value"] is None for score in none.values())
    assert tables == {}


COUNTS = arrays(np.float64, 6, elements=st.integers(0, 9)).filter(lambda row: row.sum() > 0)


@given(COUNTS, COUNTS, st.booleans())
def test_a_distance_is_symmetric_and_from_0_to_1(one, other, ordered):
    found = distance(one, other, ordered)
    assert 0 <= found <= 1 + 1e-9
    assert found == pytest.approx(float(distance(other, one, ordered)))
    assert distance(one, 3 * one, ordered) == pytest.approx(0, abs=1e-9)


@given(COUNTS, COUNTS)
def test_the_ordered_distance_is_the_two_sample_statistic(one, other):
    samples = [np.repeat(np.arange(6), row.astype(int)) for row in (one, other)]
    steps = [[np.mean(sample <= value) for value in range(6)] for sample in samples]
    expected = max(abs(a - b) for a, b in zip(*steps, strict=True))
    assert distance(one, other, ordered=True) == pytest.approx(expected)
