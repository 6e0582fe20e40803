"""Near-duplicates among the replies to learn: how often "ok", "haha" or "good night my love" are.

Said a thousand times, they drown what the person says once. So all ways of writing the same thing
together are learned up to a limit, evenly spread over the chat; beyond it they stay in the
conversation as context.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pipeline.common.speakers import fold
from pipeline.dialogue.turns import Turn

SHARE = 0.01  # of all turns to learn, that one of them may be at most
FEWEST = 10


def essence(text: str) -> str:
    """What near-duplicates share: no case, marks, punctuation or spaces, no letter twice in a row.

    A text of nothing else (emoji, punctuation) is its own essence, each sign once in a row.
    """
    letters = "".join(c for c in fold(text) if c.isalnum())
    bare = letters or "".join(text.split())
    single = "".join(letter for letter, _ in groupby(bare))
    for size in (2, 3):  # hahaha is ha
        if single and single == (single[:size] * len(single))[: len(single)]:
            return single[:size]
    return single


def thinned(
    conversations: Sequence[Sequence[Turn]], learned: Sequence[Sequence[bool]], most: int | None
) -> list[list[bool]]:
    """`learned` with all but `most` of each near-duplicate taken out; None: a hundredth of all."""
    places: dict[str, list[tuple[int, int]]] = {}
    total = 0
    for n, (turns, wanted) in enumerate(zip(conversations, learned, strict=True)):
        for at, (turn, is_wanted) in enumerate(zip(turns, wanted, strict=True)):
            if is_wanted:
                total += 1
                places.setdefault(essence(turn.text), []).append((n, at))
    limit = max(FEWEST, round(SHARE * total)) if most is None else most
    found = [list(wanted) for wanted in learned]
    for same in places.values():
        kept = {len(same) * n // limit for n in range(limit)} if len(same) > limit else None
        for number, (n, at) in enumerate(same):
            found[n][at] = kept is None or number in kept
    return found
