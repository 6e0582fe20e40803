"""Limit how often near-duplicates are learned, such as "ok", "haha" or "good night my love".

Said a thousand times, they drown what the person says once. So all spellings of the same thing
together are learned up to a limit, evenly spread over the chat; beyond it they stay in the
conversation as context.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pipeline.common.speakers import fold
from pipeline.dialogue.turns import Turn

MAX_SHARE = 0.01  # of all turns to learn, for the same thing
ALWAYS_LEARNED = 10  # times


def near_duplicate_key(text: str) -> str:
    """Equal for near-duplicates: no case, accents, punctuation or spaces, no letter twice in a row.

    A text of emoji or punctuation alone keeps these, each once in a row.
    """
    letters = "".join(c for c in fold(text) if c.isalnum())
    compact = letters or "".join(text.split())
    single = "".join(letter for letter, _ in groupby(compact))
    for size in (2, 3):  # hahaha is ha
        if single and single == (single[:size] * len(single))[: len(single)]:
            return single[:size]
    return single


def limit_repeats(
    conversations: Sequence[Sequence[Turn]], learned: Sequence[Sequence[bool]], limit: int | None
) -> list[list[bool]]:
    """`learned` (by conversation and turn) with at most `limit` of each near-duplicate left.

    None: a hundredth of all turns to learn.
    """
    positions: dict[str, list[tuple[int, int]]] = {}
    total = 0
    for n, (turns, flags) in enumerate(zip(conversations, learned, strict=True)):
        for index, (turn, is_learned) in enumerate(zip(turns, flags, strict=True)):
            if is_learned:
                total += 1
                positions.setdefault(near_duplicate_key(turn.text), []).append((n, index))
    if limit is None:
        limit = max(ALWAYS_LEARNED, round(MAX_SHARE * total))
    limited = [list(flags) for flags in learned]
    for same in positions.values():
        if len(same) > limit:
            kept = {len(same) * n // limit for n in range(limit)}
            for number, (n, index) in enumerate(same):
                limited[n][index] = number in kept
    return limited
