"""Moments of the held-out conversations in which the person answered: what a model is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dialogue.turns import Turn


@dataclass(frozen=True)
class Moment:
    """What was said before, and the real reply (its messages joined by newlines)."""

    number: int
    before: Sequence[Turn]
    real: str


def moments(rows: Iterable[Mapping[str, Any]], persona: str, count: int = 0) -> list[Moment]:
    """All moments of some examples, or `count` of them, evenly spread; numbered from 1."""
    found = [
        (said[:n], said[n].text)
        for row in rows
        for said in [[_turn(turn) for turn in row["turns"]]]
        for n, turn in enumerate(row["turns"])
        if n and turn["learned"] and said[n].speaker == persona != said[n - 1].speaker
    ]
    if count and len(found) > count:
        found = [found[n * len(found) // count] for n in range(count)]
    return [Moment(number, before, real) for number, (before, real) in enumerate(found, 1)]


def _turn(row: Mapping[str, Any]) -> Turn:
    return Turn(row["speaker"], tuple(row["text"].split("\n")))
