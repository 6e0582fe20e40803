"""Moments of the held-out conversations in which the person answered: what a model is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from pipeline.dialogue.turns import Turn


@dataclass(frozen=True)
class Moment:
    """What was said before, and the real reply (its messages joined by newlines)."""

    number: int
    before: Sequence[Turn]
    real: str


@dataclass(frozen=True)
class Reply:
    """What was answered to a prompt, with a newline between messages.

    `prompt` is the number of the prompt, unique over all kinds; `kind` separates sets of prompts
    that must not be mixed.
    """

    text: str
    prompt: int
    kind: str = ""


class TurnRow(TypedDict):
    """A turn in a file of stage 6."""

    speaker: str
    text: str
    learned: bool


class ExampleRow(TypedDict):
    """An example in a file of stage 6."""

    turns: Sequence[TurnRow]


def moments(rows: Iterable[ExampleRow], persona: str, count: int = 0) -> list[Moment]:
    """All moments of some examples, or `count` of them, evenly spread; numbered from 1."""
    answered = []
    for row in rows:
        turns = [Turn(turn["speaker"], tuple(turn["text"].split("\n"))) for turn in row["turns"]]
        for n in range(1, len(turns)):
            learned = row["turns"][n]["learned"]
            if learned and turns[n].speaker == persona != turns[n - 1].speaker:
                answered.append((turns[:n], turns[n].text))
    if count and len(answered) > count:
        answered = [answered[n * len(answered) // count] for n in range(count)]
    return [Moment(number, before, real) for number, (before, real) in enumerate(answered, 1)]
