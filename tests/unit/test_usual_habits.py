"""Who has a voice, and how much each says at once."""

from __future__ import annotations

from dataclasses import asdict

from pipeline.dialogue.turns import Turn
from pipeline.serving.habits import Habits, voices


def test_the_persona_is_first_and_others_need_enough():
    turns = [
        Turn(n, ("x",)) for n, c in (("Ben", 300), ("Ana", 5), ("Cléo", 199)) for _ in range(c)
    ]
    assert list(voices(turns, "Ana").items()) == [("Ana", 5), ("Ben", 300)]


def test_habits_are_the_middle_and_the_upper_end():
    turns = [Turn("Ana", ("x" * n,)) for n in range(1, 100)] + [Turn("Ana", ("a", "b", "c\nd"))]
    habits = Habits.of(turns, len)
    assert habits == Habits(characters=(49, 94), messages=(1, 1), tokens=98)
    assert Habits.from_dict(asdict(habits)) == habits


def test_the_longest_reply_is_never_very_short():
    habits = Habits.of([Turn("Ana", ("ok",))] * 9, len)
    assert habits is not None
    assert habits.tokens == 16
    assert Habits.of([], len) is None
