"""What chat.json tells of the people in a chat: who has a voice, and how much each says at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dialogue.turns import Turn

ENOUGH = 200  # training turns from which on somebody other than the persona has a voice
LEAST_TOKENS = 16


def voices(turns: Iterable[Turn], persona: str) -> dict[str, int]:
    """Who can be imitated, with the number of turns: the persona, then those who say most."""
    counts = Counter(turn.speaker for turn in turns)
    others = {n: c for n, c in counts.most_common() if c >= ENOUGH and n != persona}
    return {persona: counts[persona], **others}


@dataclass(frozen=True)
class Habits:
    """How much one person says at once: characters and bubbles (median, 95 %), tokens (99 %)."""

    characters: tuple[int, int]
    messages: tuple[int, int]
    tokens: int

    @classmethod
    def of(cls, turns: Iterable[Turn], length: Callable[[str], int]) -> Habits | None:
        """Those of some turns; `length` counts the tokens of a text."""
        texts = [turn.text for turn in turns]
        if not texts:
            return None
        characters = [len(text) for text in texts]
        # A line of a longer message is a bubble too: in a reply nothing tells them apart.
        messages = [sum(bool(line.strip()) for line in text.split("\n")) for text in texts]
        return cls(
            (share(characters, 0.5), share(characters, 0.95)),
            (share(messages, 0.5), max(1, share(messages, 0.95))),
            max(LEAST_TOKENS, share([length(text) for text in texts], 0.99)),
        )

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Habits:
        """As chat.json keeps them; ValueError or KeyError when it is damaged."""
        (c50, c95), (m50, m95) = row["characters"], row["messages"]
        return cls((int(c50), int(c95)), (int(m50), int(m95)), int(row["tokens"]))


def share(values: Sequence[int], part: float) -> int:
    """The smallest of the values that is no less than `part` of them."""
    return sorted(values)[max(1, math.ceil(part * len(values))) - 1]
