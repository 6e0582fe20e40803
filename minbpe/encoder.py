"""Apply learned merges to one piece of text, quickly even when the piece is a megabyte long.

The lesson's way looks at the whole piece again for every merge. Here the ids form a linked list,
and each merge that is possible somewhere has a queue of the places where its pair starts. The
earliest merge goes first; joining two ids touches only their two neighbours. Each of the n - 1
possible joins happens once, and a heap chooses among merges (not among places), so the work
grows with n, apart from the sorting of queues that are nearly sorted already.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise

from minbpe.base import Pair

_GONE = -1  # an id that is in no merge: a place that was joined to its left, or the end


def apply_merges(ids: list[int], merges: Mapping[Pair, int]) -> list[int]:
    """`ids` after every merge that applies, the earliest first and each from left to right.

    `merges` maps (left id, right id) to the id of both, which must be larger than either.
    """
    queues: dict[int, list[int]] = {}
    for place, new_id in enumerate(map(merges.get, pairwise(ids))):
        if new_id is not None:
            queues.setdefault(new_id, []).append(place)
    if not queues:
        return ids
    order = list(queues)
    heapify(order)

    end = len(ids)
    tokens = [*ids, _GONE]  # the end closes the list to a ring, so no border needs a question
    after = [*range(1, end + 1), 0]
    before = [end, *range(end)]
    while order:
        new_id = heappop(order)
        for place in sorted(queues.pop(new_id)):
            if merges.get((tokens[place], tokens[after[place]])) != new_id:
                continue  # one of the two has been joined to something else since
            joined = after[place]
            follower = after[joined]
            tokens[place], tokens[joined] = new_id, _GONE
            after[place], before[follower] = follower, place
            for start in (before[place], place):
                later = merges.get((tokens[start], tokens[after[start]]))
                if later is None:
                    continue
                if later not in queues:
                    queues[later] = []
                    heappush(order, later)
                queues[later].append(start)
    return [token for token in tokens if token != _GONE]
