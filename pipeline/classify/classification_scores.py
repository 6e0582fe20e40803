"""Scores of predicted labels: accuracy, macro F1, the confusion table; and a baseline to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from pipeline.classify.splits import Examples

Counts = NDArray[np.int64]

MAX_CLASSES = 12  # of a confusion table on the screen
BASELINE = "TF-IDF + logistic regression"


def confusion(true: Sequence[int], predicted: Sequence[int], classes: int) -> Counts:
    """How often class `row` was predicted as class `column`."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (np.asarray(true, dtype=int), np.asarray(predicted, dtype=int)), 1)
    return counts


def accuracy(counts: Counts) -> float:
    """The share of correct predictions."""
    return float(counts.trace() / max(1, counts.sum()))


def macro_f1(counts: Counts) -> float:
    """The mean F1 over classes: a rare class counts as much as a common one."""
    correct = counts.diagonal()
    involved = counts.sum(axis=0) + counts.sum(axis=1)
    return float((2 * correct / np.maximum(involved, 1)).mean())


def confusion_table(counts: Counts, names: Sequence[str]) -> Table:
    """For the screen: a row per true class."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("true \\ predicted")
    for name in names:
        table.add_column(escape(name), justify="right", overflow="fold")
    for name, row in zip(names, counts, strict=True):
        table.add_row(escape(name), *(f"{count:,}" for count in row))
    return table


def baseline(train: Examples[str], texts: Sequence[str]) -> list[int]:
    """The classes that TF-IDF over words and word pairs with logistic regression predicts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"),
        LogisticRegression(C=10.0, max_iter=1000),
    )
    model.fit(train.texts, train.labels)
    return [int(label) for label in model.predict(list(texts))]
