"""How far the generated replies' habits are from the real ones': length, bursts, emoji, endings, …

Each habit is a distribution of something counted in each reply. Two distributions are compared by
the Kolmogorov-Smirnov statistic where the values have an order, else by total variation: both are
0 for the same and 1 for nothing in common.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import TypedDict

import numpy as np

from pipeline.common.words import EMOJI, words
from pipeline.evaluation.intervals import Floats, Score, Scores, resample_counts, score
from pipeline.evaluation.moments import Reply

MAX_OPENINGS = 50  # first words that are told apart
MAX_USUAL = 5_000  # real training replies that are looked at
CHANCE_DRAWS = 20  # of as many of them as were generated
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


class HabitTable(TypedDict):
    """The values that a habit takes, and the share of each among real and generated replies."""

    values: list[Key]
    real: list[float]
    generated: list[float]


@dataclass(frozen=True)
class Habit:
    """Something counted in a reply. `top`: how many usual values are told apart; 0: all."""

    of: Callable[[str], Iterable[Key]]
    ordered: bool = False
    top: int = 0


def _emoji(text: str) -> Iterable[Key]:
    return [len(EMOJI.findall(message)) for message in text.split("\n")]


def _punctuation(text: str) -> Iterable[Key]:
    for message in text.split("\n"):
        bare = message.rstrip().rstrip(_CLOSING)
        yield "…" if bare.endswith("...") else _ENDINGS.get(bare[-1:], NONE)


def _capitals(text: str) -> Iterable[Key]:
    for message in text.split("\n"):
        letters = [letter for letter in message if letter.isalpha()]
        if len(letters) > 1 and all(letter.isupper() for letter in letters):
            yield "all"
        else:
            yield "first" if letters and letters[0].isupper() else NONE


def _openings(text: str) -> Iterable[Key]:
    return [(words(message) or [NONE])[0] for message in text.split("\n")]


def _scripts(text: str) -> Iterable[Key]:
    return [_script(letter) for letter in text if letter.isalpha()]


@cache
def _script(letter: str) -> str:
    """How the letter's Unicode name begins: LATIN, CYRILLIC, CJK, …"""
    return unicodedata.name(letter, "OTHER").split(" ")[0].split("-")[0]


HABITS: dict[str, Habit] = {
    "length": Habit(lambda text: [len(text)], ordered=True),
    "burst": Habit(lambda text: [len(text.split("\n"))], ordered=True),
    "emoji": Habit(_emoji, ordered=True),
    "punctuation": Habit(_punctuation),
    "capitals": Habit(_capitals),
    "openings": Habit(_openings, top=MAX_OPENINGS),
    "scripts": Habit(_scripts),
}
"""Characters in a reply, messages in a reply, emoji in a message, how messages end and begin, their
first word, and the scripts of all letters."""


def habits(
    real: Sequence[Reply],
    generated: Sequence[Reply],
    floor: Sequence[Reply],
    usual: Sequence[str],
    seed: int,
) -> tuple[Scores, dict[str, HabitTable]]:
    """A score for each habit, and its distributions.

    The floor is the distance to the replies `floor` (another speaker's or the untuned base's). The
    ceiling is what chance leaves: the mean distance to as many replies as were generated, drawn
    from `usual`, the person's real training replies. Resampling adds chance of its own to a
    distance, so the interval is that of the draws, shifted onto the value.
    """
    order = np.random.default_rng(seed).permutation(len(usual))[:MAX_USUAL]
    groups = [[reply.text for reply in replies] for replies in (real, generated, floor)]
    groups.append([usual[n] for n in order])
    draws = resample_counts(real, seed), resample_counts(generated, seed + 1)
    scores: Scores = {}
    tables: dict[str, HabitTable] = {}
    for name, habit in HABITS.items():
        keys, counts = _count(habit, groups)
        scores[f"{name}_distance"] = _compare(habit, counts, draws, seed)
        if keys and generated and real:
            shares = [_shares(rows.sum(axis=0)).round(5).tolist() for rows in counts[:2]]
            tables[name] = {"values": keys, "real": shares[0], "generated": shares[1]}
    return scores, tables


def _count(habit: Habit, groups: list[list[str]]) -> tuple[list[Key], list[Floats]]:
    """The values of a habit, and how often each reply of a group has each: (replies, values)."""
    counters = [[Counter(habit.of(text)) for text in texts] for texts in groups]
    total = Counter(chain.from_iterable(c.elements() for c in counters[-1] or counters[0]))
    everything = {key for group in counters for counter in group for key in counter}
    keys: list[Key]
    if habit.ordered:
        keys = sorted(everything)
    else:
        keys = [key for key, _ in total.most_common(habit.top or None)]
        keys += [REST] if habit.top else sorted(everything - set(keys), key=str)
    column = {key: n for n, key in enumerate(keys)}
    tables = [np.zeros((len(group), len(keys))) for group in counters]
    for group, table in zip(counters, tables, strict=True):
        for row, counter in zip(table, group, strict=True):
            for key, count in counter.items():
                row[column.get(key, -1)] += count
    return keys, tables


def _compare(habit: Habit, counts: list[Floats], draws: tuple[Floats, Floats], seed: int) -> Score:
    real, generated, other, usual = counts
    n = len(generated)
    of_real, of_generated, of_floor = (rows.sum(axis=0) for rows in (real, generated, other))
    if not of_real.sum() or not of_generated.sum():
        return score(None, n=n, note="nothing to count in the real or in the generated replies")
    value = float(distance(of_real, of_generated, habit.ordered))
    again = distance(draws[0] @ real, draws[1] @ generated, habit.ordered)
    low, high = np.clip(np.quantile(again, [0.025, 0.975]) - np.median(again) + value, 0, 1)
    ceiling = None
    if usual.sum():
        rng = np.random.default_rng(seed)
        drawn = [usual[rng.permutation(len(usual))[:n]].sum(axis=0) for _ in range(CHANCE_DRAWS)]
        ceiling = float(np.mean([distance(of_real, one, habit.ordered) for one in drawn]))
    return score(
        value,
        low=float(low),
        high=float(high),
        floor=float(distance(of_real, of_floor, habit.ordered)) if of_floor.sum() else None,
        ceiling=ceiling,
        n=n,
    )


def distance(one: Floats, other: Floats, ordered: bool) -> Floats:
    """Between distributions given as counts along the last axis, from 0 (the same) to 1."""
    gaps = _shares(one) - _shares(other)
    if ordered:
        return np.asarray(np.abs(np.cumsum(gaps, axis=-1)).max(axis=-1))
    return np.asarray(np.abs(gaps).sum(axis=-1) / 2)


def _shares(counts: Floats) -> Floats:
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(counts / np.maximum(total, 1e-12))
