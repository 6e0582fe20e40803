"""TF-IDF with logistic regression: what a classifier of words alone makes of the same split."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.classify.parts import Part

NAME = "TF-IDF + logistic regression"


def told(train: Part, texts: Sequence[str]) -> list[int]:
    """The classes it tells, by words and pairs of words and how rare they are in all texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"),
        LogisticRegression(C=10.0, max_iter=1000),
    )
    model.fit(train.texts, train.labels)
    return [int(label) for label in model.predict(list(texts))]
