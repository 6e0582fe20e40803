"""The inner loops of `trainer.py`, compiled by numba.

Where a token stands. All distinct words lie in one row of places, one place a byte, with an `EDGE`
between words. A token covers as many places as it has bytes. On its first place stands the pair it
begins, whose name holds its id; on its last place, where that is another, the id itself. So the
token behind it and the token before it are found without any list, and nothing is ever moved.

Where a pair occurs. At the place where its left token begins; each place begins one pair at most.
So the places of all pairs are linked lists in two columns of the places: the previous and the next
place of the same pair. Places are appended in rising order, which is the order from left to right
in which they must be joined.

How often a word occurs. Words that occur equally often lie together, the most frequent first, so a
short table of `steps` tells the count from the place.

Which pair is next. A pair has a number, and its name is (left id << 32) + right id. The heap holds
numbers of pairs, ordered by the count they had when they were put in (`PROMISED`), then by name.

Compiling these functions takes two seconds, once: few functions, few arguments, tables instead of
objects, and types written down keep it short.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numba import njit  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
UInt8 = NDArray[np.uint8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

BYTES = 256
NONE = -1  # no place, no pair
EDGE = -1  # no token: the border of a word
FIRST_ID = -2  # id 0, where ids and pairs stand in one column: ids go down from here

# Tables and their columns. `text`, a row a place; HERE: a pair's number (0 and up), an id, or EDGE:
HERE, BEFORE, AFTER = range(3)
# `pairs`, a row a pair; FIRST and LAST are places:
NAME, COUNT, PROMISED, FIRST, LAST = range(5)
# `tokens`, a row an id: how many bytes, and in this round the pairs (id, new id) and (new id, id):
SIZE, AS_LEFT, AS_RIGHT = range(3)
# `steps`: from this place on, words occur so often:
PLACE, WEIGHT = range(2)
# `state`: merges so far, pairs that have a number, pairs in the heap:
MERGES, USED, WAITING = range(3)

_TYPES = {"text": "i4[:,::1]", "tokens": "i4[:,::1]", "pairs": "i8[:,::1]", "steps": "i8[:,::1]"}
_TYPES |= {"state": "i8[::1]", "merges": "i8[::1]", "heap": "i4[::1]"}
_TYPES |= {"letters": "u1[::1]", "starts": "i8[::1]", "lengths": "i4[::1]", "order": "i8[::1]"}


def compiled(function: F) -> F:
    """Machine code, kept on disk for the next run where there is a folder to keep it in.

    An argument has the type that `_TYPES` gives its name; the others are numbers. Functions whose
    name begins with `_` can be called from compiled ones only, which saves their way from Python.
    """
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    result = {"None": "void", "int": "i8", "bool": "b1"}[function.__annotations__["return"]]
    signature = f"{result}({', '.join(_TYPES.get(name, 'i8') for name in names)})"
    inner = function.__name__.startswith("_")
    compile_ = partial(njit, signature, no_cpython_wrapper=inner, no_cfunc_wrapper=True)
    try:
        made: Any = compile_(cache=True)(function)
    except RuntimeError:  # numba finds no folder that it may write to
        made = compile_()(function)
    return made  # type: ignore[no-any-return]


@compiled
def _begin(place: int, pair: int, weight: int, text: Int32, pairs: Int64) -> None:
    """The pair begins at this place, behind all its others."""
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
def _end(place: int, weight: int, text: Int32, pairs: Int64) -> None:
    """The pair that began at this place does so no longer."""
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
    """The number of a pair: `known` if that is the pair's, else a new one."""
    name = (left << 32) + right
    if known != NONE and pairs[known, NAME] == name:
        return known
    pair = int(state[USED])
    state[USED] += 1
    pairs[pair, NAME] = name
    pairs[pair, COUNT] = 0
    pairs[pair, FIRST] = pairs[pair, LAST] = NONE
    return pair


@compiled
def _weight(place: int, steps: Int64) -> int:
    """How often the word of this place occurs."""
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
    """Put the words (`letters` from `starts`) on their places, in `order`, and find their pairs."""
    known = np.full((BYTES, BYTES), NONE)
    text[0, HERE] = EDGE
    place = 1
    for word in order:
        weight = _weight(place, steps)
        last = starts[word] + lengths[word] - 1
        for start in range(starts[word], last):
            left, right = letters[start], letters[start + 1]
            known[left, right] = _number(left, right, known[left, right], pairs, state)
            _begin(place, known[left, right], weight, text, pairs)
            place += 1
        text[place, HERE] = FIRST_ID - letters[last]
        text[place + 1, HERE] = EDGE
        place += 2


@compiled
def _sooner(a: int, b: int, pairs: Int64) -> bool:
    """Whether pair `a` is merged before pair `b`, as far as promised."""
    if pairs[a, PROMISED] != pairs[b, PROMISED]:
        return bool(pairs[a, PROMISED] > pairs[b, PROMISED])
    return bool(pairs[a, NAME] < pairs[b, NAME])


@compiled
def fill_heap(start: int, minimum: int, pairs: Int64, heap: Int32, state: Int64) -> None:
    """Put the pairs from number `start` on into the heap, those that are frequent enough."""
    for pair in range(start, state[USED]):
        if pairs[pair, COUNT] < minimum:
            continue
        pairs[pair, PROMISED] = pairs[pair, COUNT]
        at = state[WAITING]
        state[WAITING] += 1
        while at > 0 and _sooner(pair, heap[(at - 1) >> 1], pairs):
            heap[at] = heap[(at - 1) >> 1]
            at = (at - 1) >> 1
        heap[at] = pair


@compiled
def _most_frequent(minimum: int, pairs: Int64, heap: Int32, state: Int64) -> int:
    """The next pair to merge, taken off the heap; NONE when none is frequent enough."""
    best = NONE
    while best == NONE and state[WAITING]:
        first = heap[0]
        holds = pairs[first, PROMISED] == pairs[first, COUNT]
        if holds or pairs[first, COUNT] < minimum:
            best = first if holds else NONE
            state[WAITING] -= 1
            first = heap[state[WAITING]]
        else:
            pairs[first, PROMISED] = pairs[first, COUNT]
        at, child = 0, 1  # let `first` sink from the top to where it belongs
        while child < state[WAITING]:
            if child + 1 < state[WAITING] and _sooner(heap[child + 1], heap[child], pairs):
                child += 1
            if not _sooner(heap[child], first, pairs):
                break
            heap[at] = heap[child]
            at, child = child, 2 * child + 1
        heap[at] = first
    return best


@compiled
def _join(
    best: int, new: int, text: Int32, steps: Int64, pairs: Int64, tokens: Int32, state: Int64
) -> None:
    """Put the token `new` wherever the pair `best` stands, and all counts right."""
    left, right = pairs[best, NAME] >> 32, pairs[best, NAME] & 0xFFFFFFFF
    tokens[new, SIZE] = tokens[left, SIZE] + tokens[right, SIZE]
    place = pairs[best, FIRST]
    while place != NONE:
        weight = _weight(place, steps)
        middle, end = place + tokens[left, SIZE], place + tokens[new, SIZE]
        old = text[middle, HERE]
        if old > EDGE:  # a pair that goes; perhaps `best` itself, so before the next place is read
            _end(middle, weight, text, pairs)
        following = text[place, AFTER]
        earlier = text[place - 1, HERE]
        if earlier != EDGE:
            # A pair there is that of a token of one byte, which begins and ends on its place.
            earlier = pairs[earlier, NAME] >> 32 if earlier > EDGE else FIRST_ID - earlier
            start = place - tokens[earlier, SIZE]
            _end(start, weight, text, pairs)
            pair = _number(earlier, new, tokens[earlier, AS_LEFT], pairs, state)
            tokens[earlier, AS_LEFT] = pair
            _begin(start, pair, weight, text, pairs)
        text[place, HERE] = text[end - 1, HERE] = FIRST_ID - new
        if old > EDGE:
            later = pairs[old, NAME] & 0xFFFFFFFF
            pair = _number(new, later, tokens[later, AS_RIGHT], pairs, state)
            tokens[later, AS_RIGHT] = pair
            _begin(place, pair, weight, text, pairs)
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
    """Merge until there are so many `merges`, or `pairs` is nearly full; False: no pair is left."""
    while state[MERGES] < until:
        new = BYTES + state[MERGES]
        if state[USED] + 2 * new + 2 > len(pairs):
            break
        best = _most_frequent(minimum, pairs, heap, state)
        if best == NONE:
            return False
        made = state[USED]
        _join(best, new, text, steps, pairs, tokens, state)
        fill_heap(made, minimum, pairs, heap, state)
        merges[state[MERGES]] = pairs[best, NAME]
        state[MERGES] += 1
    return True
