"""Who wrote it? A classifier of who is typing, and how close generated replies get to the person.

Character n-grams capture what stylometry looks at (spelling, endings, punctuation, small words) in
every script (Stamatatos, "A survey of modern authorship attribution methods", 2009, section 2.2).
They are taken from within words and their borders, and many occurrences in one reply count little
more than one. Logistic regression over their TF-IDF separates the persona from the others.

One message says little, so replies are judged in bundles. A bundle's vector is the sum of its
replies' (no n-gram spans two replies), scaled to length one. Its log-odds therefore follow exactly
from one number for each reply and one for each pair, however often they are bundled again:
w . sum(x) / |sum(x)| + b, where |sum(x)|^2 is the sum of all x_i . x_j.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pipeline.common.errors import DataError
from pipeline.evaluation.intervals import (
    Floats,
    Indices,
    Score,
    by_kind,
    progress,
    resampled,
    score,
)
from pipeline.evaluation.moments import Reply

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

BUNDLE_CHARACTERS = 600
MIN_SEPARATION = 4.0  # standard errors between floor and ceiling for the score to count
MAX_SPEAKERS = 6
MAX_CHARACTERS = 500_000  # of a speaker; more takes longer and improves nothing
NGRAMS = (1, 5)
MIN_TURNS = 5  # n-grams in fewer turns are left out


class BundleOdds(Protocol):
    """What is known of some replies, from which the log-odds of any bundle of them follow."""

    def of(self, members: Indices) -> float:
        """The log-odds of one bundle."""


OddsOf = Callable[[Sequence[str]], BundleOdds]


@dataclass(frozen=True)
class Attribution:
    """A trained classifier of one persona against the other speakers."""

    persona: str
    speakers: tuple[str, ...]
    vectorizer: TfidfVectorizer
    direction: Floats
    offset: float

    @classmethod
    def fit(cls, texts: Mapping[str, Sequence[str]], persona: str, seed: int) -> Attribution:
        """Learn from real turns by speaker, the same amount of text of each.

        It is trained on single turns rather than bundles: on a group chat of 75,000 messages that
        separated the persona's held-out bundles from the others' slightly better (d' 1.9 and 1.7
        for two personas, against 1.8 and 1.5). DataError where there is nobody to tell apart.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        drawn = balanced(texts, persona, seed)
        turns = [text for chosen in drawn.values() for text in chosen]
        is_persona = [speaker == persona for speaker, chosen in drawn.items() for _ in chosen]
        vectorizer = TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=NGRAMS,
            lowercase=False,
            sublinear_tf=True,
            min_df=MIN_TURNS if len(turns) > 50 * MIN_TURNS else 1,
        )
        rows = vectorizer.fit_transform(turns)
        model = LogisticRegression(class_weight="balanced", max_iter=1000).fit(rows, is_persona)
        vectorizer.set_params(norm=None)  # so that rows add up
        return cls(persona, tuple(drawn), vectorizer, model.coef_[0], float(model.intercept_[0]))

    def odds(self, texts: Sequence[str]) -> BundleOdds:
        """For the log-odds of any bundle of some texts."""
        return NgramOdds(self, texts)

    def log_odds(self, bundles: Sequence[Sequence[str]]) -> Floats:
        """log p / (1 - p) that the persona wrote each bundle of replies, classes balanced.

        They order texts well, and are too modest as probabilities (learned from single turns).
        """
        return np.array([self.odds(bundle).of(np.arange(len(bundle))) for bundle in bundles])


def balanced(texts: Mapping[str, Sequence[str]], persona: str, seed: int) -> dict[str, list[str]]:
    """Turns of the persona and of those with most text, drawn to the same number of characters.

    A speaker with little text limits all others, so of up to six speakers as many are taken as
    give the most text in total.
    """
    sizes = {speaker: sum(map(len, turns)) for speaker, turns in texts.items()}
    others = sorted((s for s in sizes if s != persona and sizes[s]), key=lambda s: -sizes[s])
    if not others or not sizes.get(persona):
        raise DataError("Attribution needs text of the persona and of somebody else.")
    groups = [[persona, *others[:count]] for count in range(1, MAX_SPEAKERS)]
    amounts = [min(MAX_CHARACTERS, *(sizes[s] for s in group)) for group in groups]
    best = max(range(len(groups)), key=lambda n: amounts[n] * len(groups[n]))
    rng = np.random.default_rng(seed)
    drawn = {}
    for speaker in groups[best]:
        turns = texts[speaker]
        order = rng.permutation(len(turns))
        before = np.cumsum([0, *(len(turns[n]) for n in order[:-1])])
        drawn[speaker] = [turns[n] for n in order[before < amounts[best]]]
    return drawn


class NgramOdds:
    """The weight of each reply's n-grams, and what it shares with every other reply."""

    def __init__(self, model: Attribution, texts: Sequence[str]) -> None:
        rows = model.vectorizer.transform(texts)
        self.weights = np.asarray(rows @ model.direction)
        self.products = (rows @ rows.T).toarray()
        self.offset = model.offset

    def of(self, members: Indices) -> float:
        squared = self.products[np.ix_(members, members)].sum()
        return float(self.weights[members].sum() / max(squared, 1e-9) ** 0.5) + self.offset


class AdditiveOdds:
    """Log-odds known for each single reply, which add up."""

    def __init__(self, odds: Sequence[float]) -> None:
        self.odds = np.array(odds, dtype=np.float64)

    def of(self, members: Indices) -> float:
        return float(self.odds[members].sum())


# --- bundles -------------------------------------------------------------------------------------


def bundles(replies: Sequence[Reply], size: int = BUNDLE_CHARACTERS) -> list[list[Reply]]:
    """Replies of one kind joined in order, `size` characters or a few more in each bundle."""
    lengths = _lengths(replies)
    return [
        [replies[n] for n in part[start:end]]
        for part in by_kind(replies)
        for start, end in pairwise(bundle_bounds(lengths[part], size))
    ]


def bundle_bounds(lengths: Indices, size: int = BUNDLE_CHARACTERS) -> list[int]:
    """Where to cut a row of replies so that each bundle holds `size` characters or a few more.

    The first bound is 0; the replies after the last bound are too short for a bundle.
    """
    ends = np.cumsum(lengths)
    bounds = [0]
    while True:
        so_far = ends[bounds[-1] - 1] if bounds[-1] else 0
        end = int(np.searchsorted(ends, so_far + size)) + 1
        if end > len(ends):
            return bounds
        bounds.append(end)


def _lengths(replies: Sequence[Reply]) -> Indices:
    return np.array([len(reply.text) for reply in replies], dtype=np.int64)


# --- the score -----------------------------------------------------------------------------------


def attribution_score(
    odds_of: OddsOf,
    generated: Sequence[Reply],
    floor: Sequence[Reply],
    ceiling: Sequence[Reply],
    seed: int,
) -> Score:
    """The mean log-odds of the generated bundles, between those of `floor` and `ceiling`.

    `ceiling` are the person's real replies, `floor` another speaker's or the untuned base's. The
    three are resampled independently of each other, which if anything widens the interval. Three
    times 300 replies take 5 s, most of it for resampling; a thousand of each are enough.
    """
    value, low_end, high_end = (
        _Level(odds_of, replies, seed + n) for n, replies in enumerate((generated, floor, ceiling))
    )
    if why := _unmeasurable(value, low_end, high_end):
        return score(None, n=value.count, note=f"not measurable here: {why}")
    low, high = np.quantile(value.draws, [0.025, 0.975]).tolist()
    share = progress(value.mean, low_end.mean, high_end.mean)
    return score(
        value.mean,
        low=low,
        high=high,
        floor=low_end.mean,
        ceiling=high_end.mean,
        n=value.count,
        note=f"{100 * share:.0f} % of the way from floor to ceiling",
    )


class _Level:
    """The mean log-odds of some replies' bundles, and the same for resampled prompts."""

    def __init__(self, odds_of: OddsOf, replies: Sequence[Reply], seed: int) -> None:
        self.lengths = _lengths(replies)
        self.odds = odds_of([reply.text for reply in replies]) if replies else None
        values = self._bundles(by_kind(replies))
        self.count, self.mean = len(values), float(np.mean(values)) if values else float("nan")
        again = (self._bundles(parts) for parts in resampled(replies, seed)) if self.count else ()
        self.draws = np.array([np.mean(drawn) if drawn else self.mean for drawn in again])

    def _bundles(self, parts: Iterable[Indices]) -> list[float]:
        if self.odds is None:
            return []
        return [
            self.odds.of(part[start:end])
            for part in parts
            for start, end in pairwise(bundle_bounds(self.lengths[part]))
        ]


def _unmeasurable(generated: _Level, floor: _Level, ceiling: _Level) -> str:
    """Why nothing can be said, in words; "" where it can."""
    for name, level in {"generated": generated, "floor": floor, "ceiling": ceiling}.items():
        if level.count < 2:
            return (
                f"the {name} replies fill {level.count} bundles of {BUNDLE_CHARACTERS} characters, "
                "2 needed"
            )
    error = float(np.std(ceiling.draws - floor.draws))
    apart = (ceiling.mean - floor.mean) / max(error, 1e-9)
    if apart > MIN_SEPARATION:
        return ""
    return (
        f"floor ({floor.mean:.2f}) and ceiling ({ceiling.mean:.2f}) are {apart:.1f} standard "
        f"errors apart, more than {MIN_SEPARATION:.0f} needed; the generated replies came to "
        f"{generated.mean:.2f}"
    )
