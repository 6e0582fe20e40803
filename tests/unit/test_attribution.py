"""Who wrote it: the persona's own text is at the ceiling, another's at the floor."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pipeline.common.errors import DataError
from pipeline.evaluation import intervals
from pipeline.evaluation.attribution import (
    BUNDLE_CHARACTERS,
    AdditiveOdds,
    Attribution,
    attribution_score,
    balanced,
    bundle_bounds,
    bundles,
)
from pipeline.evaluation.moments import Reply

WORDS = [
    "soup",
    "is",
    "ready",
    "come",
    "home",
    "now",
    "we",
    "wait",
    "at",
    "the",
    "bridge",
    "by",
    "nine",
]
HABITS = {
    "Ana": lambda words: " ".join(words).capitalize() + ".",
    "Ben": lambda words: "ok " + " ".join(words) + " haha",
    "Cleo": lambda words: " ".join(words).replace("e", "3") + "!!",
}


def said(speaker: str, count: int, seed: int) -> list[str]:
    rng = random.Random(f"{speaker}{seed}")
    return [HABITS[speaker](rng.choices(WORDS, k=rng.randint(3, 9))) for _ in range(count)]


def replies(texts: list[str], kind: str = "") -> list[Reply]:
    return [Reply(text, n, kind) for n, text in enumerate(texts)]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 400)


@pytest.fixture(scope="module")
def model() -> Attribution:
    return Attribution.fit({s: said(s, 150, 0) for s in HABITS}, "Ana", seed=1)


def test_the_persona_is_at_the_ceiling_and_another_at_the_floor(model):
    ceiling, floor = replies(said("Ana", 150, 1)), replies(said("Ben", 150, 1))
    own = attribution_score(model.odds, replies(said("Ana", 150, 2)), floor, ceiling, seed=1)
    other = attribution_score(model.odds, replies(said("Ben", 150, 2)), floor, ceiling, seed=1)
    assert own["low"] < own["value"] < own["high"]
    assert own["value"] == pytest.approx(own["ceiling"], abs=0.1 * (own["ceiling"] - own["floor"]))
    assert other["value"] == pytest.approx(own["floor"], abs=0.1 * (own["ceiling"] - own["floor"]))
    assert own["note"].endswith("% of the way from floor to ceiling")
    assert own["n"] == len(bundles(replies(said("Ana", 150, 2))))


def test_a_mixture_is_between(model):
    ceiling, floor = replies(said("Ana", 150, 1)), replies(said("Ben", 150, 1))
    mixed = [text for pair in zip(said("Ana", 80, 3), said("Ben", 80, 3), strict=True)
             for text in pair]  # fmt: skip
    found = attribution_score(model.odds, replies(mixed), floor, ceiling, seed=1)
    share = (found["value"] - found["floor"]) / (found["ceiling"] - found["floor"])
    assert 0.25 < share < 0.75


@pytest.mark.parametrize(
    ("floor", "why"),
    [(said("Ben", 3, 1), "0 bundles"), (said("Ana", 150, 4), "standard errors apart")],
)
def test_nothing_is_claimed_where_nothing_can_be_told(model, floor, why):
    ceiling = replies(said("Ana", 150, 1))
    found = attribution_score(model.odds, ceiling, replies(floor), ceiling, seed=1)
    assert found["value"] is None
    assert found["note"].startswith("not measurable here: ")
    assert why in found["note"]


def test_log_odds_of_a_bundle_are_those_of_its_summed_counts(model):
    """Against the classifier's own arithmetic on the whole vector."""
    texts = said("Cleo", 12, 5)
    rows = model.vectorizer.transform([f"\n{text}\n" for text in texts])
    whole = np.asarray(rows.sum(axis=0)).ravel()
    expected = whole @ model.direction / np.linalg.norm(whole) + model.offset
    assert model.odds(texts).of(np.arange(12)) == pytest.approx(expected)
    assert model.log_odds([texts])[0] == pytest.approx(expected)


def test_bundles_are_long_enough_and_mix_no_kinds():
    texts = said("Ana", 150, 1)
    mixed = [Reply(t, n, "ab"[n % 2]) for n, t in enumerate(texts)]
    found = bundles(mixed)
    assert len(found) > 4
    for bundle in found:
        assert len({reply.kind for reply in bundle}) == 1
        lengths = [len(reply.text) for reply in bundle]
        assert sum(lengths) >= BUNDLE_CHARACTERS > sum(lengths[:-1])


def test_the_rest_that_is_too_short_is_left_out():
    assert bundle_bounds(np.array([300, 300, 700, 1, 599, 599])) == [0, 2, 3, 5]
    assert bundle_bounds(np.array([], dtype=np.int64)) == [0]


def test_speakers_are_balanced_and_those_with_little_left_out():
    texts = {"Ana": ["x" * 10] * 80, "Ben": ["y" * 10] * 60, "Cleo": ["z" * 10], "Dan": []}
    drawn = balanced(texts, "Ana", seed=1)
    assert {s: sum(map(len, turns)) for s, turns in drawn.items()} == {"Ana": 600, "Ben": 600}
    assert set(balanced(texts, "Cleo", seed=1)) == {"Ana", "Ben", "Cleo"}


def test_one_speaker_alone_cannot_be_told_apart():
    with pytest.raises(DataError, match="somebody else"):
        Attribution.fit({"Ana": ["hello"] * 9, "Ben": []}, "Ana", seed=1)


def test_a_judge_of_single_replies_is_asked_the_same_way():
    """Its log-odds add up in a bundle, and count only where they tell floor and ceiling apart."""

    def judge(texts):
        return AdditiveOdds([1.0 if "a" in text else -1.0 for text in texts])

    own, others = replies(["a" * 60] * 100), replies(["b" * 60] * 100)
    found = attribution_score(judge, own[:50] + others[50:], others, own, seed=1)
    assert found["floor"] == -10
    assert found["ceiling"] == 10
    assert abs(found["value"]) < 2
    assert attribution_score(judge, own, own, others, seed=1)["value"] is None
