"""Who wrote it? A classifier of who is typing, and how far made replies get towards the person.

Character n-grams hold what stylometry goes by (spelling, endings, punctuation, small words) in
every script (Stamatatos, "A survey of modern authorship attribution methods", 2009, section 2.2).
They are taken from within words and their borders, and what occurs often in one reply counts
little more than once. Logistic regression over their TF-IDF tells the persona from the others.

One message says little, so replies are judged in bundles. A bundle's vector is the sum of its
replies' (no n-gram spans two replies), brought to length one. Its log-odds are therefore exact from
one number for each reply and one for each pair, however often the replies are bundled anew:
w . sum(x) / |sum(x)| + b, where |sum(x)|^2 is the sum of all x_i . x_j.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.common.errors import DataError
from pipeline.evaluation.replies import Numbers, Reply, by_kind, redrawn
from pipeline.evaluation.scores import score, way

LEAST = 600  # characters in a bundle
APART = 4.0  # standard errors between floor and ceiling for the score to count
SPEAKERS = 6
MOST = 500_000  # characters of a speaker; more takes longer and tells no more
NGRAMS = (1, 5)
RARE = 5  # n-grams in fewer turns are left out


@dataclass(frozen=True)
class Attribution:
    """A trained classifier of one persona against the other speakers."""

    persona: str
    speakers: tuple[str, ...]
    vectorizer: Any
    direction: NDArray[np.float64]
    offset: float

    @classmethod
    def fit(cls, texts: Mapping[str, Sequence[str]], persona: str, seed: int) -> Attribution:
        """Learn from real turns by speaker, the same amount of text of each.

        Single turns are trained on rather than bundles: on a group chat of 75,000 messages that
        told the persona's held-out bundles from the others' a little better (d' 1.9 and 1.7 for two
        personas, against 1.8 and 1.5). Raises DataError where there is nobody to tell apart.
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
            min_df=RARE if len(turns) > 50 * RARE else 1,
        )
        rows = vectorizer.fit_transform(turns)
        found = LogisticRegression(class_weight="balanced", max_iter=1000).fit(rows, is_persona)
        vectorizer.set_params(norm=None)  # so that rows add up
        return cls(persona, tuple(drawn), vectorizer, found.coef_[0], float(found.intercept_[0]))

    def evidence(self, texts: Sequence[str]) -> Evidence:
        """For the log-odds of any bundle of some texts."""
        return Ngrams(self, texts)

    def log_odds(self, bundles: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """log p / (1 - p) that the persona wrote each bundle of replies, classes balanced.

        They order texts well, and are too modest as probabilities (learned from single turns).
        """
        return np.array([self.evidence(bundle).of(np.arange(len(bundle))) for bundle in bundles])


def balanced(texts: Mapping[str, Sequence[str]], persona: str, seed: int) -> dict[str, list[str]]:
    """Turns of the persona and of those with most text, drawn to the same number of characters.

    Who has little text makes it little for all: of up to six speakers, as many are taken as give
    the most text in all.
    """
    sizes = {speaker: sum(map(len, turns)) for speaker, turns in texts.items()}
    others = sorted((s for s in sizes if s != persona and sizes[s]), key=lambda s: -sizes[s])
    if not others or not sizes.get(persona):
        raise DataError("Attribution needs text of the persona and of somebody else.")
    groups = [[persona, *others[:count]] for count in range(1, SPEAKERS)]
    amounts = [min(MOST, *(sizes[s] for s in group)) for group in groups]
    best = max(range(len(groups)), key=lambda n: amounts[n] * len(groups[n]))
    rng = np.random.default_rng(seed)
    return {s: _drawn(texts[s], amounts[best], rng) for s in groups[best]}


def _drawn(turns: Sequence[str], amount: int, rng: np.random.Generator) -> list[str]:
    order = rng.permutation(len(turns))
    before = np.cumsum([0, *(len(turns[n]) for n in order[:-1])])
    return [turns[n] for n in order[before < amount]]


class Evidence(Protocol):
    """What is known of some replies, from which the log-odds of any bundle of them follow."""

    def of(self, members: Numbers) -> float:
        """The log-odds of one bundle."""


Judge = Callable[[Sequence[str]], Evidence]


class Independent:
    """Log-odds known for each reply, which add up."""

    def __init__(self, odds: Sequence[float]) -> None:
        self.odds = np.array(odds, dtype=np.float64)

    def of(self, members: Numbers) -> float:
        return float(self.odds[members].sum())


class Ngrams:
    """The pull of each reply's n-grams, and what it shares with every other."""

    def __init__(self, model: Attribution, texts: Sequence[str]) -> None:
        rows = model.vectorizer.transform(texts)
        self.pull = np.asarray(rows @ model.direction)
        self.products = (rows @ rows.T).toarray()
        self.offset = model.offset

    def of(self, members: Numbers) -> float:
        squared = self.products[np.ix_(members, members)].sum()
        return float(self.pull[members].sum() / max(squared, 1e-9) ** 0.5) + self.offset


def cuts(lengths: Numbers, least: int = LEAST) -> list[int]:
    """Where to cut a row of replies so that each piece holds `least` characters or a few more.

    The first cut is 0; what follows the last is too short.
    """
    ends = np.cumsum(lengths)
    found = [0]
    while True:
        so_far = ends[found[-1] - 1] if found[-1] else 0
        end = int(np.searchsorted(ends, so_far + least)) + 1
        if end > len(ends):
            return found
        found.append(end)


def bundles(replies: Sequence[Reply], least: int = LEAST) -> list[list[Reply]]:
    """Replies of one kind joined in order, `least` characters or a few more in each bundle."""
    lengths = _lengths(replies)
    return [
        [replies[n] for n in part[start:end]]
        for part in by_kind(replies)
        for start, end in pairwise(cuts(lengths[part], least))
    ]


def _lengths(replies: Sequence[Reply]) -> Numbers:
    return np.array([len(reply.text) for reply in replies], dtype=np.int64)


class _Level:
    """The mean log-odds of some replies' bundles, and of the same with prompts drawn again."""

    def __init__(self, judge: Judge, replies: Sequence[Reply], seed: int) -> None:
        self.lengths = _lengths(replies)
        self.evidence = judge([reply.text for reply in replies]) if replies else None
        found = self._bundles(by_kind(replies))
        self.count, self.mean = len(found), float(np.mean(found)) if found else float("nan")
        again = (self._bundles(parts) for parts in redrawn(replies, seed)) if self.count else ()
        self.draws = np.array([np.mean(found) if found else self.mean for found in again])

    def _bundles(self, parts: Iterable[Numbers]) -> list[float]:
        if self.evidence is None:
            return []
        return [
            self.evidence.of(part[start:end])
            for part in parts
            for start, end in pairwise(cuts(self.lengths[part]))
        ]


def measure(
    judge: Judge,
    made: Sequence[Reply],
    floor: Sequence[Reply],
    ceiling: Sequence[Reply],
    seed: int,
) -> dict[str, Any]:
    """The mean log-odds of the made bundles between those of `floor` and `ceiling`, one score.

    `ceiling` are the person's real replies, `floor` another speaker's or the untuned base's. The
    three are drawn apart from each other, which if anything makes the interval wider. Three times
    300 replies take 5 s, most of it drawing anew; a thousand of each tell enough.
    """
    levels = [_Level(judge, replies, seed + n) for n, replies in enumerate((made, floor, ceiling))]
    value, low_end, high_end = levels
    if why := _unmeasurable(value, low_end, high_end):
        return score(None, n=value.count, note=f"not measurable here: {why}")
    low, high = np.quantile(value.draws, [0.025, 0.975]).tolist()
    share = way(value.mean, low_end.mean, high_end.mean)
    return score(
        value.mean,
        low=low,
        high=high,
        floor=low_end.mean,
        ceiling=high_end.mean,
        n=value.count,
        note=f"{share:.0%} of the way from floor to ceiling".replace("%", " %"),
    )


def _unmeasurable(made: _Level, floor: _Level, ceiling: _Level) -> str:
    """Why nothing can be told, in words; "" where it can."""
    names = {"made": made, "floor": floor, "ceiling": ceiling}
    for name, level in names.items():
        if level.count < 2:
            return f"the {name} replies fill {level.count} bundles of {LEAST} characters, 2 needed"
    error = float(np.std(ceiling.draws - floor.draws))
    apart = (ceiling.mean - floor.mean) / max(error, 1e-9)
    if apart > APART:
        return ""
    return (
        f"floor ({floor.mean:.2f}) and ceiling ({ceiling.mean:.2f}) are {apart:.1f} standard "
        f"errors apart, more than {APART:.0f} needed; the made replies came to {made.mean:.2f}"
    )
