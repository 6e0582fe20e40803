"""Texts to train on (70 %), to stop training by (10 %) and to test with (20 %), class by class."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from pipeline.classify.csv_table import Table
from pipeline.common.errors import DataError

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
MIN_TEXTS = 10  # per class

Text = TypeVar("Text", str, list[int])


@dataclass(frozen=True)
class Examples(Generic[Text]):
    """Texts, as strings or as token ids, and the number of the class of each."""

    texts: Sequence[Text]
    labels: Sequence[int]

    def __len__(self) -> int:
        return len(self.texts)


class Splits(NamedTuple):
    """The three parts of a table."""

    train: Examples[str]
    val: Examples[str]
    test: Examples[str]


class Usable(NamedTuple):
    """The rows of a table that can be learned from, and how many cannot."""

    table: Table
    incomplete: int  # no text or no label
    duplicates: int


def usable(table: Table) -> Usable:
    """Drop incomplete rows and duplicates: a duplicate could be trained on and tested with."""
    complete = [(t, n) for t, n in zip(table.texts, table.labels, strict=True) if t.strip() and n]
    unique: dict[str, tuple[str, str]] = {}
    for text, label in complete:
        unique.setdefault(" ".join(text.casefold().split()), (text, label))
    kept = Table([t for t, _ in unique.values()], [n for _, n in unique.values()])
    return Usable(kept, len(table) - len(complete), len(complete) - len(kept))


def class_names(labels: Sequence[str]) -> list[str]:
    """The labels, sorted; raises DataError for fewer than two, or too few texts of one."""
    counts = Counter(labels)
    if len(counts) < 2:
        only = f"only the label {min(counts)}" if counts else "no label"
        raise DataError(f"There is {only}; a classifier needs texts of two classes or more.")
    rare = {label: n for label, n in sorted(counts.items()) if n < MIN_TEXTS}
    if rare:
        listed = ", ".join(f"{label[:24]} ({n})" for label, n in list(rare.items())[:8])
        raise DataError(
            f"Too few different texts of {listed}; add more, or remove the class "
            f"(at least {MIN_TEXTS} each)."
        )
    return sorted(counts)


def split(table: Table, names: Sequence[str], seed: int) -> Splits:
    """The three parts, drawn class by class and then shuffled; the same for the same seed."""
    rng = random.Random(seed)
    parts: dict[str, list[tuple[str, int]]] = {name: [] for name in SHARES}
    for number, label in enumerate(names):
        rows = [(t, number) for t, n in zip(table.texts, table.labels, strict=True) if n == label]
        rng.shuffle(rows)
        val, test = (max(1, round(SHARES[name] * len(rows))) for name in ("val", "test"))
        parts["val"] += rows[:val]
        parts["test"] += rows[val : val + test]
        parts["train"] += rows[val + test :]
    for rows in parts.values():
        rng.shuffle(rows)
    return Splits(
        *(Examples([t for t, _ in parts[n]], [c for _, c in parts[n]]) for n in Splits._fields)
    )
