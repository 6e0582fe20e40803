"""Texts to learn from (70 %), to stop by (10 %) and to test with (20 %), class by class."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.classify.table import Table
from pipeline.common.errors import DataError

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
FEWEST = 10  # texts of a class


@dataclass(frozen=True)
class Part:
    """Texts and the numbers of their classes."""

    texts: list[str]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.texts)


Parts = dict[str, Part]


@dataclass(frozen=True)
class Learnable:
    """What of a table can be learned from, and how many rows cannot."""

    table: Table
    incomplete: int  # without text or label
    repeats: int  # of a text that is there already

    @classmethod
    def of(cls, table: Table) -> Learnable:
        """A text twice would stand in two parts and be tested after it was learned."""
        whole = [(t, n) for t, n in zip(table.texts, table.labels, strict=True) if t.strip() and n]
        first: dict[str, tuple[str, str]] = {}
        for text, label in whole:
            first.setdefault(" ".join(text.casefold().split()), (text, label))
        kept = Table([t for t, _ in first.values()], [n for _, n in first.values()])
        return cls(kept, len(table) - len(whole), len(whole) - len(kept))


def classes(labels: Sequence[str]) -> list[str]:
    """The labels in order; raises DataError where there is nothing to tell apart or too little."""
    counts = Counter(labels)
    if len(counts) < 2:
        told = f"only the label {min(counts)}" if counts else "no labels"
        raise DataError(f"There is {told}; a classifier needs texts of two classes or more.")
    few = {label: n for label, n in sorted(counts.items()) if n < FEWEST}
    if few:
        told = ", ".join(f"{label[:24]} ({n})" for label, n in list(few.items())[:8])
        raise DataError(
            f"Too few different texts of {told}; add more, or leave the class out "
            f"(at least {FEWEST} each)."
        )
    return sorted(counts)


def split(table: Table, names: Sequence[str], seed: int) -> Parts:
    """The three parts, drawn class by class and then mixed; the same for the same seed."""
    draw = random.Random(seed)
    chosen: dict[str, list[tuple[str, int]]] = {name: [] for name in SHARES}
    for number, label in enumerate(names):
        texts = [t for t, n in zip(table.texts, table.labels, strict=True) if n == label]
        draw.shuffle(texts)
        val, test = (max(1, round(SHARES[name] * len(texts))) for name in ("val", "test"))
        pieces = {"val": texts[:val], "test": texts[val : val + test], "train": texts[val + test :]}
        for name, piece in pieces.items():
            chosen[name] += [(text, number) for text in piece]
    for rows in chosen.values():
        draw.shuffle(rows)
    return {
        name: Part([text for text, _ in rows], [number for _, number in rows])
        for name, rows in chosen.items()
    }
