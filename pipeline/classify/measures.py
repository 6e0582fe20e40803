"""How well labels were told: accuracy, macro F1, and which class was taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

Counts = NDArray[np.int64]

WIDEST = 12  # classes of a confusion table on a screen


def confusion(true: Sequence[int], told: Sequence[int], classes: int) -> Counts:
    """How often class `row` was told to be class `column`."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (np.asarray(true, dtype=int), np.asarray(told, dtype=int)), 1)
    return counts


def accuracy(counts: Counts) -> float:
    """The share that was told right."""
    return float(counts.trace() / max(1, counts.sum()))


def macro_f1(counts: Counts) -> float:
    """The mean over classes of F1, so that a rare class counts as much as a common one."""
    right = counts.diagonal()
    named = counts.sum(axis=0) + counts.sum(axis=1)
    return float((2 * right / np.maximum(named, 1)).mean())


def confusion_table(counts: Counts, names: Sequence[str]) -> Table:
    """For the screen: a row for each true class."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("true \\ told")
    for name in names:
        table.add_column(escape(name), justify="right", overflow="fold")
    for name, row in zip(names, counts, strict=True):
        table.add_row(escape(name), *(f"{count:,}" for count in row))
    return table
