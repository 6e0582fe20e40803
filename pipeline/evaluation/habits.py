"""How far the made replies' habits are from the real ones': length, bursts, emoji, endings, …

Every habit is a distribution of something counted in each reply. Two of them are compared by
Kolmogorov and Smirnov's statistic where the values have an order, else by total variation: both are
0 for the same and 1 for nothing in common.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common.words import EMOJI, words
from pipeline.evaluation.replies import Reply, weights
from pipeline.evaluation.scores import score

OPENINGS = 50
USUAL = 5_000  # real training replies that are looked at
CHANCES = 20  # draws of as many of them as were made
REST, NONE = "…", "(none)"
_ENDINGS = {
    ".": ".",
    "!": "!",
    "?": "?",
    "…": "…",
    "。": ".",
    "！": "!",
    "？": "?",
    "؟": "?",
    "।": ".",
}
_CLOSING = "\"'’”»)]}*_~"

Key = int | str
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Habit:
    """Something counted in a reply. With `top`, all but so many of the usual values are one."""

    of: Callable[[str], Iterable[Key]]
    ordered: bool = False
    top: int = 0

    def counts(self, texts: Sequence[str]) -> list[Counter[Key]]:
        return [Counter(self.of(text)) for text in texts]


def _length(text: str) -> Iterable[Key]:
    return [len(text)]


def _burst(text: str) -> Iterable[Key]:
    return [len(text.split("\n"))]


def _emoji(text: str) -> Iterable[Key]:
    return [len(EMOJI.findall(message)) for message in text.split("\n")]


def _punctuation(text: str) -> Iterable[Key]:
    return [_ending(message) for message in text.split("\n")]


def _ending(message: str) -> str:
    bare = message.rstrip().rstrip(_CLOSING)
    return "…" if bare.endswith("...") else _ENDINGS.get(bare[-1:], NONE)


def _capitals(text: str) -> Iterable[Key]:
    return [_capital(message) for message in text.split("\n")]


def _capital(message: str) -> str:
    letters = [letter for letter in message if letter.isalpha()]
    if len(letters) > 1 and all(letter.isupper() for letter in letters):
        return "all"
    return "first" if letters and letters[0].isupper() else NONE


def _opening(text: str) -> Iterable[Key]:
    return [(words(message) or [NONE])[0] for message in text.split("\n")]


def _scripts(text: str) -> Iterable[Key]:
    return [_script(letter) for letter in text if letter.isalpha()]


@cache
def _script(letter: str) -> str:
    """As the letter's Unicode name begins: LATIN, CYRILLIC, CJK, …"""
    return unicodedata.name(letter, "OTHER").split(" ")[0].split("-")[0]


HABITS: dict[str, Habit] = {
    "length": Habit(_length, ordered=True),
    "burst": Habit(_burst, ordered=True),
    "emoji": Habit(_emoji, ordered=True),
    "punctuation": Habit(_punctuation),
    "capitals": Habit(_capitals),
    "openings": Habit(_opening, top=OPENINGS),
    "scripts": Habit(_scripts),
}
"""Characters a reply, messages a reply, emoji a message, how messages end and begin, their first
word, and the scripts of all letters."""

Table = dict[str, list[Any]]


def habits(
    real: Sequence[Reply],
    made: Sequence[Reply],
    other: Sequence[Reply],
    usual: Sequence[str],
    seed: int,
) -> tuple[dict[str, dict[str, Any]], dict[str, Table]]:
    """A score for each habit, and its distributions: `values`, and their shares `real` and `made`.

    The floor is the distance to the replies of `other` (another speaker's or the untuned base's).
    The ceiling is what chance leaves: the mean distance to as many replies as were made, drawn from
    `usual`, the person's real training replies. Drawing again adds chance of its own to a distance,
    so the interval is that of the draws moved onto the value.
    """
    order = np.random.default_rng(seed).permutation(len(usual))[:USUAL]
    drawn = [usual[n] for n in order]
    scores, tables = {}, {}
    draws = weights(real, seed), weights(made, seed + 1)
    for name, habit in HABITS.items():
        groups = [[reply.text for reply in replies] for replies in (real, made, other)]
        keys, counted = _counted(habit, [*groups, drawn])
        scores[f"{name}_distance"] = _compare(habit, counted, draws, seed)
        if len(keys) and made and real:
            shares = [_shares(counts.sum(axis=0)).round(5).tolist() for counts in counted[:2]]
            tables[name] = {"values": keys, "real": shares[0], "made": shares[1]}
    return scores, tables


def _counted(habit: Habit, groups: list[Sequence[str]]) -> tuple[list[Key], list[Counts]]:
    """The values of a habit, and of each group how often each reply has each: (replies, values)."""
    counters = [habit.counts(texts) for texts in groups]
    total = Counter(chain.from_iterable(c.elements() for c in counters[-1] or counters[0]))
    everything = {key for group in counters for counter in group for key in counter}
    if habit.ordered:
        keys = sorted(everything)
    else:
        keys = [key for key, _ in total.most_common(habit.top or None)]
        keys += [REST] if habit.top else sorted(everything - set(keys))
    place = {key: n for n, key in enumerate(keys)}
    return keys, [_table(group, place) for group in counters]


def _table(group: list[Counter[Key]], place: dict[Key, int]) -> Counts:
    table = np.zeros((len(group), len(place)))
    for row, counter in zip(table, group, strict=True):
        for key, count in counter.items():
            row[place.get(key, -1)] += count
    return table


def _compare(
    habit: Habit, counted: list[Counts], draws: tuple[Counts, Counts], seed: int
) -> dict[str, Any]:
    real, made, other, usual = counted
    sums = [counts.sum(axis=0) for counts in (real, made)]
    if not all(total.sum() for total in sums):
        return score(None, n=len(made), note="nothing to count in the real or in the made replies")
    value = float(distance(sums[0], sums[1], habit.ordered))
    again = distance(draws[0] @ real, draws[1] @ made, habit.ordered)
    low, high = np.clip(np.quantile(again, [0.025, 0.975]) - np.median(again) + value, 0, 1)
    floor = other.sum(axis=0)
    return score(
        value,
        low=float(low),
        high=float(high),
        floor=float(distance(sums[0], floor, habit.ordered)) if floor.sum() else None,
        ceiling=_chance(habit, sums[0], usual, len(made), seed),
        n=len(made),
    )


def _chance(habit: Habit, real: Counts, usual: Counts, size: int, seed: int) -> float | None:
    if not usual.sum():
        return None
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(len(usual))[:size] for _ in range(CHANCES)]
    return float(np.mean([distance(real, usual[d].sum(axis=0), habit.ordered) for d in drawn]))


def distance(one: Counts, other: Counts, ordered: bool) -> Counts:
    """Between distributions given as counts along the last axis, from 0 (the same) to 1."""
    gaps = _shares(one) - _shares(other)
    if ordered:
        return np.asarray(np.abs(np.cumsum(gaps, axis=-1)).max(axis=-1))
    return np.asarray(np.abs(gaps).sum(axis=-1) / 2)


def _shares(counts: Counts) -> Counts:
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(counts / np.maximum(total, 1e-12))
