"""The inner loops of `trainer.py`, compiled by numba.

Where a token is. All distinct words lie in one table of places, one place per byte, with an `EDGE`
between words. A token covers as many places as it has bytes. Its first place holds the pair that it
begins, whose name contains its id; its last place, if that is another, holds the id itself. So the
tokens after and before it are known without any list, and nothing is ever moved.

Where a pair occurs. At the place where its left token begins; each place begins one pair at most.
So the places of every pair form a linked list in two columns of the table: the previous and the
next place of the same pair. Places are appended in rising order, which is the order from left to
right in which they must be joined.

How often a word occurs. Words that occur equally often lie together, the most frequent first, so a
short table of `steps` gives the count of any place.

Which pair is next. A pair has a number, and its name is (left id << 32) + right id. The heap holds
numbers of pairs, ordered by the count they had when they were pushed (`PUSHED`), then by name.

Compiling these functions takes two seconds, once. Few functions, few arguments, tables instead of
objects and explicit types keep it short.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

import numpy as np
from numba import njit  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., object])
UInt8 = NDArray[np.uint8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

BYTES = 256
NONE = -1  # no place; no pair
EDGE = -1  # no token: the border between words
FIRST_ID = -2  # id 0 in a column that also holds pairs: ids count down from here

# Tables and their columns. `text`, a row per place; HERE: number of a pair (0 and up), id or EDGE:
HERE, BEFORE, AFTER = range(3)
# `pairs`, a row per pair; FIRST and LAST are places:
NAME, COUNT, PUSHED, FIRST, LAST = range(5)
# `tokens`, a row per id: its bytes, and in this round the pairs (id, new id) and (new id, id):
SIZE, AS_LEFT, AS_RIGHT = range(3)
# `steps`: from PLACE on, words occur WEIGHT times:
PLACE, WEIGHT = range(2)
# `state`: merges so far, pairs numbered so far, pairs in the heap:
MERGES, NUMBERED, IN_HEAP = range(3)

_TYPES = {"text": "i4[:,::1]", "tokens": "i4[:,::1]", "pairs": "i8[:,::1]", "steps": "i8[:,::1]"}
_TYPES |= {"state": "i8[::1]", "merges": "i8[::1]", "heap": "i4[::1]"}
_TYPES |= {"letters": "u1[::1]", "starts": "i8[::1]", "lengths": "i4[::1]", "order": "i8[::1]"}


def compiled(function: Function) -> Function:
    """Compile to machine code, cached on disk for the next run if a folder there is writable.

    The name of an argument determines its type (`_TYPES`); all others are integers. Functions whose
    name begins with `_` are called by compiled ones only, so no Python wrapper is made for them.
    """
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    returns = {"None": "void", "int": "i8", "bool": "b1"}[function.__annotations__["return"]]
    signature = f"{returns}({', '.join(_TYPES.get(name, 'i8') for name in names)})"
    inner = function.__name__.startswith("_")
    compile_ = partial(njit, signature, no_cpython_wrapper=inner, no_cfunc_wrapper=True)
    try:
        return cast(Function, compile_(cache=True)(function))
    except RuntimeError:  # numba finds no writable folder
        return cast(Function, compile_()(function))


@compiled
def _add_place(place: int, pair: int, weight: int, text: Int32, pairs: Int64) -> None:
    """Record that the pair begins at this place, which is after all its other places."""
    last = pairs[pair, LAST]
    text[place, HERE] = pair
    text[place, BEFORE] = last
    text[place, AFTER] = NONE
    if last == NONE:
        pairs[pair, FIRST] = place
    else:
        text[last, AFTER] = place
    pairs[pair, LAST] = place
    pairs[pair, COUNT] += weight


@compiled
def _remove_place(place: int, weight: int, text: Int32, pairs: Int64) -> None:
    """Record that the pair which began at this place no longer does."""
    pair, before, after = text[place, HERE], text[place, BEFORE], text[place, AFTER]
    if before == NONE:
        pairs[pair, FIRST] = after
    else:
        text[before, AFTER] = after
    if after == NONE:
        pairs[pair, LAST] = before
    else:
        text[after, BEFORE] = before
    pairs[pair, COUNT] -= weight


@compiled
def _number(left: int, right: int, known: int, pairs: Int64, state: Int64) -> int:
    """The number of a pair: `known` if that is this pair, else a new one."""
    name = (left << 32) + right
    if known != NONE and pairs[known, NAME] == name:
        return known
    pair = int(state[NUMBERED])
    state[NUMBERED] += 1
    pairs[pair, NAME] = name
    pairs[pair, COUNT] = 0
    pairs[pair, FIRST] = pairs[pair, LAST] = NONE
    return pair


@compiled
def _weight(place: int, steps: Int64) -> int:
    """How often the word at this place occurs."""
    low, high = 0, len(steps)
    while high - low > 1:
        middle = (low + high) >> 1
        if steps[middle, PLACE] <= place:
            low = middle
        else:
            high = middle
    return int(steps[low, WEIGHT])


@compiled
def lay_out(
    letters: UInt8,
    starts: Int64,
    lengths: Int32,
    order: Int64,
    text: Int32,
    steps: Int64,
    pairs: Int64,
    state: Int64,
) -> None:
    """Write the words (`letters` from `starts`) into `text`, in `order`, and record their pairs."""
    known = np.full((BYTES, BYTES), NONE)
    text[0, HERE] = EDGE
    place = 1
    for word in order:
        weight = _weight(place, steps)
        last = starts[word] + lengths[word] - 1
        for start in range(starts[word], last):
            left, right = letters[start], letters[start + 1]
            known[left, right] = _number(left, right, known[left, right], pairs, state)
            _add_place(place, known[left, right], weight, text, pairs)
            place += 1
        text[place, HERE] = FIRST_ID - letters[last]
        text[place + 1, HERE] = EDGE
        place += 2


@compiled
def _precedes(a: int, b: int, pairs: Int64) -> bool:
    """Whether pair `a` comes before pair `b` in the heap."""
    if pairs[a, PUSHED] != pairs[b, PUSHED]:
        return bool(pairs[a, PUSHED] > pairs[b, PUSHED])
    return bool(pairs[a, NAME] < pairs[b, NAME])


@compiled
def fill_heap(start: int, minimum: int, pairs: Int64, heap: Int32, state: Int64) -> None:
    """Push the pairs from number `start` on that are frequent enough."""
    for pair in range(start, state[NUMBERED]):
        if pairs[pair, COUNT] < minimum:
            continue
        pairs[pair, PUSHED] = pairs[pair, COUNT]
        slot = state[IN_HEAP]
        state[IN_HEAP] += 1
        while slot > 0 and _precedes(pair, heap[(slot - 1) >> 1], pairs):
            heap[slot] = heap[(slot - 1) >> 1]
            slot = (slot - 1) >> 1
        heap[slot] = pair


@compiled
def _most_frequent(minimum: int, pairs: Int64, heap: Int32, state: Int64) -> int:
    """Pop the next pair to merge; NONE if none is frequent enough."""
    best = NONE
    while best == NONE and state[IN_HEAP]:
        first = heap[0]
        current = pairs[first, PUSHED] == pairs[first, COUNT]
        if current or pairs[first, COUNT] < minimum:
            best = first if current else NONE
            state[IN_HEAP] -= 1
            first = heap[state[IN_HEAP]]
        else:
            pairs[first, PUSHED] = pairs[first, COUNT]
        slot, child = 0, 1  # sift `first` down from the top
        while child < state[IN_HEAP]:
            if child + 1 < state[IN_HEAP] and _precedes(heap[child + 1], heap[child], pairs):
                child += 1
            if not _precedes(heap[child], first, pairs):
                break
            heap[slot] = heap[child]
            slot, child = child, 2 * child + 1
        heap[slot] = first
    return best


@compiled
def _join(
    best: int, new: int, text: Int32, steps: Int64, pairs: Int64, tokens: Int32, state: Int64
) -> None:
    """Replace the pair `best` by the token `new` everywhere, and update all counts."""
    left, right = pairs[best, NAME] >> 32, pairs[best, NAME] & 0xFFFFFFFF
    tokens[new, SIZE] = tokens[left, SIZE] + tokens[right, SIZE]
    place = pairs[best, FIRST]
    while place != NONE:
        weight = _weight(place, steps)
        middle, end = place + tokens[left, SIZE], place + tokens[new, SIZE]
        old = text[middle, HERE]
        if old > EDGE:  # this pair vanishes; it may be `best`, so remove it before reading AFTER
            _remove_place(middle, weight, text, pairs)
        following = text[place, AFTER]
        earlier = text[place - 1, HERE]
        if earlier != EDGE:
            # If a pair is stored there, its left token is a single byte.
            earlier = pairs[earlier, NAME] >> 32 if earlier > EDGE else FIRST_ID - earlier
            start = place - tokens[earlier, SIZE]
            _remove_place(start, weight, text, pairs)
            pair = _number(earlier, new, tokens[earlier, AS_LEFT], pairs, state)
            tokens[earlier, AS_LEFT] = pair
            _add_place(start, pair, weight, text, pairs)
        text[place, HERE] = text[end - 1, HERE] = FIRST_ID - new
        if old > EDGE:
            later = pairs[old, NAME] & 0xFFFFFFFF
            pair = _number(new, later, tokens[later, AS_RIGHT], pairs, state)
            tokens[later, AS_RIGHT] = pair
            _add_place(place, pair, weight, text, pairs)
        place = following
    pairs[best, COUNT] = 0


@compiled
def merge(
    until: int,
    minimum: int,
    merges: Int64,
    text: Int32,
    steps: Int64,
    pairs: Int64,
    heap: Int32,
    tokens: Int32,
    state: Int64,
) -> bool:
    """Merge until there are `until` merges or `pairs` is full; False if no pair is left."""
    while state[MERGES] < until:
        new = BYTES + state[MERGES]
        if state[NUMBERED] + 2 * new + 2 > len(pairs):
            break
        best = _most_frequent(minimum, pairs, heap, state)
        if best == NONE:
            return False
        made = state[NUMBERED]
        _join(best, new, text, steps, pairs, tokens, state)
        fill_heap(made, minimum, pairs, heap, state)
        merges[state[MERGES]] = pairs[best, NAME]
        state[MERGES] += 1
    return True
