"""The arithmetic of a blind test: which rounds, in which order, and what the choices say."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.moments import Moment, moments
from pipeline.evaluation.rounds import MODEL, REAL, SKIPPED, Result, pairs, shuffled, wilson

MOMENTS = [Moment(n, [], f"real {n}") for n in range(1, 201)]


def made(texts):
    return ((m, {MODEL: text, REAL: m.real}) for m, text in zip(MOMENTS, texts, strict=False))


def test_both_orders_come_up_and_the_same_ones_again():
    rounds = list(pairs(made([f"made {n}" for n in range(200)]), seed=1))
    first = Counter(one.replies[0][0] for one in rounds)
    assert 70 < first[MODEL] < 130
    assert rounds == list(pairs(made([f"made {n}" for n in range(200)]), seed=1))
    assert rounds != list(pairs(made([f"made {n}" for n in range(200)]), seed=2))


def test_what_tells_nothing_is_not_asked():
    rounds = list(pairs(made(["made", "Real  2\n", " ", "made"]), seed=1))
    assert [(one.number, one.prompt) for one in rounds] == [(1, 1), (2, 4)]


def test_more_rounds_begin_with_the_same_ones():
    order = shuffled(MOMENTS, seed=5)
    assert sorted(m.number for m in order) == list(range(1, 201))
    assert order == shuffled(MOMENTS, seed=5) != MOMENTS


def test_an_answer_tells_whose_reply_and_holds_no_text():
    one = next(pairs(made(["made"]), seed=1))
    whose = [w for w, _ in one.replies]
    assert one.answer(1) == {"round": 1, "prompt": 1, "order": whose, "choice": whose[1]}
    assert one.answer(None)["choice"] == SKIPPED


def test_wilson_against_published_figures():
    """Newcombe 1998, table I: 81 of 263, and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_is_symmetric(case):
    hits, of = case
    low, high = wilson(hits, of)
    assert 0 <= low <= hits / of + 1e-9
    assert hits / of - 1e-9 <= high <= 1
    assert wilson(of - hits, of) == pytest.approx((1 - high, 1 - low))


def test_the_result_in_words():
    rows = [{"choice": c} for c in [MODEL] * 5 + [REAL] * 5 + [SKIPPED]]
    assert Result.of(rows) == Result(chosen=5, answered=10, skipped=1)
    assert Result.of(rows).sentences("Ana") == (
        "The model was taken for Ana in 5 of 10: 50%, 95 % interval 24% to 76% "
        "(50 % = cannot be told apart). 1 skipped. Guessing could have given the same."
    )
    assert "less often than chance" in Result(2, 20, 0).sentences("Ana")
    assert "more often than chance" in Result(18, 20, 0).sentences("Ana", "old")
    assert Result(0, 0, 3).sentences("Ana") == "Nothing was answered yet."


def test_moments_are_those_of_the_samples():
    turns = [
        {"speaker": "Ben", "text": "hi", "learned": False},
        {"speaker": "Ana", "text": "hey\nyou", "learned": True},
        {"speaker": "Ben", "text": "up?", "learned": False},
        {"speaker": "Ana", "text": "no", "learned": True},
    ]
    found = moments([{"turns": turns}] * 3, "Ana")
    assert [(m.number, m.real) for m in found[:3]] == [(1, "hey\nyou"), (2, "no"), (3, "hey\nyou")]
    assert [t.text for t in found[1].before] == ["hi", "hey\nyou", "up?"]
    assert len(moments([{"turns": turns}] * 3, "Ana", 2)) == 2
