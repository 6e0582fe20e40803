"""Rounds of a blind test: two replies in random order, a choice, and what the choices add up to.

The order of each pair follows from the seed and the moment, so a test can be continued later.
Interval of a share: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from pipeline.dialogue.turns import Turn
from pipeline.evaluation.moments import Moment

MODEL, REAL, OTHER, SKIPPED = "model", "real", "other", "skipped"
Z = 1.959964  # 95 % of a normal distribution lie within this many standard deviations


class AnswerRow(TypedDict):
    """An answer as it is kept in a file: whose reply was chosen, and no text."""

    round: int
    prompt: int
    order: list[str]
    choice: str


@dataclass(frozen=True)
class Round:
    """One question: what was said before, and two replies in the order shown, each with whose."""

    number: int
    prompt: int
    before: Sequence[Turn]
    replies: tuple[tuple[str, str], tuple[str, str]]

    def answer(self, choice: int | None) -> AnswerRow:
        """The row to keep when the reply with index `choice` was chosen; None: skipped."""
        order = [whose for whose, _ in self.replies]
        chosen = SKIPPED if choice is None else order[choice]
        return {"round": self.number, "prompt": self.prompt, "order": order, "choice": chosen}


def shuffled(moments: Sequence[Moment], seed: int) -> list[Moment]:
    """The moments in the order in which they are asked about, however many will be."""
    order = list(moments)
    random.Random(seed).shuffle(order)
    return order


def pairs(answered: Iterable[tuple[Moment, Mapping[str, str]]], seed: int) -> Iterator[Round]:
    """Rounds from moments with two replies, keyed by whose they are.

    Moments where a choice would mean nothing are left out: one reply is empty, or both have the
    same words.
    """
    number = 0
    for moment, replies in answered:
        folded = {" ".join(text.casefold().split()) for text in replies.values()}
        if "" in folded or len(folded) < 2:
            continue
        number += 1
        one, other = sorted(replies.items())
        swapped = random.Random(f"{seed} {moment.number}").random() < 0.5
        shown = (other, one) if swapped else (one, other)
        yield Round(number, moment.number, moment.before, shown)


@dataclass(frozen=True)
class Result:
    """How often the model was chosen."""

    chosen: int
    answered: int
    skipped: int

    @classmethod
    def of(cls, rows: Iterable[AnswerRow]) -> Result:
        """The tally of the answers kept."""
        choices = [row["choice"] for row in rows]
        skipped = choices.count(SKIPPED)
        return cls(choices.count(MODEL), len(choices) - skipped, skipped)

    def sentences(self, persona: str, other: str | None = None) -> str:
        """The result in words; `other`: the name of the model compared with, None for real."""
        if not self.answered:
            return "Nothing was answered yet."
        low, high = wilson(self.chosen, self.answered)
        what = f"was taken for {persona}" if other is None else f"was chosen over {other}"
        even = "cannot be told apart" if other is None else f"equally like {persona}"
        skipped = f" {self.skipped} skipped." if self.skipped else ""
        verdict = "Guessing could have given the same."
        if low > 0.5:
            verdict = "That is more often than chance."
        elif high < 0.5:
            verdict = "That is less often than chance."
        return (
            f"The model {what} in {self.chosen} of {self.answered}: "
            f"{self.chosen / self.answered:.0%}, 95 % interval {low:.0%} to {high:.0%} "
            f"(50 % = {even}).{skipped} {verdict}"
        )


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share; 0 to 1 when nothing was counted.

    >>> [round(end, 3) for end in wilson(5, 10)]
    [0.237, 0.763]
    """
    if not of:
        return 0.0, 1.0
    share, z2 = hits / of, Z * Z
    centre = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, centre - half), min(1.0, centre + half)
