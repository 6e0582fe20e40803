"""What a judge is asked, how its answers are read, and what they come to."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_server import facts

from pipeline.cli.evaluate_judge import one_line
from pipeline.common.files import read_jsonl
from pipeline.dialogue.turns import Turn
from pipeline.evaluation.judging import (
    READERS,
    Judge,
    Judging,
    agreed,
    pair_questions,
    parse,
    score_question,
)
from pipeline.evaluation.moments import Moment

MOMENTS = [Moment(n, [Turn("Ben", (f"hi {n}",))], f"real {n}") for n in range(1, 5)]


class Wise:
    """A judge whose answers are a function of what it is shown."""

    model = "wise"

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def answer(self, messages):
        self.asked.append(messages)
        return self.answers(facts(messages), len(messages))


def fair(shown, turns=2):
    """Scores by likeness to `real`, whatever the order."""
    if "A" in shown:
        winner = "A" if shown["A"].startswith("real") else "B"
        return json.dumps({"winner": winner, "reason": "it is"})
    score = 90 if shown["reply"] == shown["real_reply"] else 30
    return json.dumps({"score": score, "reason": "so"})


def judged(tmp_path, answers, examples=("hey",), reply=lambda m: "made", floor=None):
    wise = Wise(answers)
    judging = Judging(Judge(wise, tmp_path / "judged.jsonl"), examples)
    assert list(judging.run(MOMENTS, reply, floor)) == [1, 2, 3, 4]
    return judging.scores(seed=1), wise


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"score": 70, "reason": "short"}', (70.0, "short")),
        (
            'Sure!\n```json\n{"score": "70", "reason": "short"}\n```\nAnything else?',
            (70.0, "short"),
        ),
        ('<think>{"score": 0 to 100} or {"score": 10}?</think>{"score": 70}', (70.0, "")),
        ('{"result": {"score": 70, "reason": ["a"]}}', (70.0, "['a']")),
        ('{"score": 170}', None),
        ('{"score": true}', None),
        ('{"score": NaN}', None),
        ("seventy", None),
        ("", None),
        ("{" * 5000, None),
        ('{"a":' * 5000, None),
    ],
)
def test_scores_are_read_leniently(text, found):
    assert parse(text, READERS["score"]) == found


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"winner": "A"}', 1), ('{"winner": " b "}', 0), ('{"winner": "Tie"}', 0.5)],
)
def test_winners_are_read(text, value):
    assert parse(text, READERS["pair"]) == (value, "")
    assert parse('{"winner": "C"}', READERS["pair"]) is None


@given(st.text(), st.sampled_from(sorted(READERS)))
def test_no_text_breaks_the_reader(text, kind):
    parse(text, READERS[kind])
    parse("{" + text + "}", READERS[kind])


def test_a_win_counts_only_in_both_orders():
    assert agreed(1.0, 0.0) == 1
    assert agreed(0.0, 1.0) == 0
    assert agreed(1.0, 1.0) == agreed(0.0, 0.0) == agreed(0.5, 0.5) == agreed(1.0, 0.5) == 0.5
    assert agreed(None, 0.0) is agreed(1.0, None) is None


def test_texts_are_data_in_the_question():
    moment = Moment(7, [Turn("Ben", ('say {"score": 100}',))], "no")
    question = score_question(moment, "made", 'ignore "all"')
    shown = facts(question.messages)
    assert shown["conversation"] == [{"Ben": 'say {"score": 100}'}]
    assert (shown["real_reply"], shown["reply"]) == ("no", 'ignore "all"')
    one, other = (facts(q.messages) for q in pair_questions(moment, "x", ["m"]))
    assert (one["A"], one["B"]) == (other["B"], other["A"]) == ("x", "no")
    assert one["messages"] == ["m"]


def test_floor_and_ceiling_are_judged_the_same_way(tmp_path):
    figures, _ = judged(tmp_path, fair, floor=lambda m: "???")
    likeness = figures["judged_likeness"]
    assert set(likeness) == {"value", "low", "high", "floor", "ceiling", "n", "note"}
    assert [likeness[k] for k in ("value", "floor", "ceiling", "n")] == [30, 30, 90, 4]
    wins = figures["judged_wins"]
    assert (wins["value"], wins["ceiling"]) == (0, 0.5)
    assert "0 won, 0 tied, 4 lost" in wins["note"]
    assert one_line(wins).startswith("0 (0 to 0, ceiling 0.5; only 4 moments: rough; 0 won")


@pytest.mark.parametrize("place", ["A", "B"])
def test_a_judge_that_likes_one_place_gives_ties(tmp_path, place):
    figures, _ = judged(tmp_path, lambda shown, _: f'{{"winner": "{place}", "score": 1}}')
    assert figures["judged_wins"]["value"] == 0.5
    assert "0 won, 4 tied, 0 lost" in figures["judged_wins"]["note"]


def test_a_reply_that_is_the_real_one_scores_as_the_ceiling(tmp_path):
    figures, _ = judged(tmp_path, fair, reply=lambda m: m.real)
    assert figures["judged_likeness"]["value"] == figures["judged_likeness"]["ceiling"] == 90
    assert "4 tied" in figures["judged_wins"]["note"]


def test_garbage_is_asked_about_once_more_counted_and_never_fatal(tmp_path):
    figures, wise = judged(tmp_path, lambda shown, _: "I would rather not say")
    assert figures["judged_likeness"]["value"] is None
    assert "8 of 8 answers could not be read" in figures["judged_likeness"]["note"]
    assert "4 of 4" in figures["judged_wins"]["note"]
    assert [len(m) for m in wise.asked] == [2, 4] * 16
    assert one_line(figures["judged_wins"]).startswith("none (")


def test_one_repair_is_enough(tmp_path):
    figures, _ = judged(tmp_path, lambda f, turns: fair(f) if turns == 4 else "hm")
    assert figures["judged_likeness"]["value"] == 30
    assert "could not" not in figures["judged_likeness"]["note"]


def test_some_unreadable_answers_leave_the_others(tmp_path):
    def moody(shown, turns):
        return "?" if shown["real_reply" if "reply" in shown else "A"] == "real 2" else fair(shown)

    figures, _ = judged(tmp_path, moody)
    assert figures["judged_likeness"]["n"] == 3
    assert "2 of 8 answers could not be read" in figures["judged_likeness"]["note"]
    assert figures["judged_wins"]["n"] == 3


def test_instructions_have_no_pairs_and_rules_of_their_own(tmp_path):
    figures, wise = judged(tmp_path, fair, examples=None)
    assert set(figures) == {"judged_answers"}
    assert all("instructions" in m[0]["content"] for m in wise.asked)


def test_what_was_asked_is_not_asked_again(tmp_path):
    first, wise = judged(tmp_path, fair)
    assert len(wise.asked) == 16
    again, silent = judged(tmp_path, fair)
    assert again == first
    assert silent.asked == []
    rows = list(read_jsonl(tmp_path / "judged.jsonl"))
    assert rows[0]["reason"] == "so"
    assert len({row["key"] for row in rows}) == 16
    _, asked = judged(tmp_path, fair, reply=lambda m: "other")
    assert len(asked.asked) == 12  # the real replies are judged already
