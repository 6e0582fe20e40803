"""Copies of the training text, and personal data, in the replies."""

from __future__ import annotations

import pytest

from pipeline.common.words import words
from pipeline.evaluation.copies import SeenRuns, copies, leak_warning, personal
from pipeline.evaluation.moments import Reply

TEXT = "On Tuesday we walked along the river until it got dark"
JAPANESE = "今日はとても天気がよかったので川沿いをずっと歩いて帰りました"


@pytest.fixture(scope="module")
def seen() -> SeenRuns:
    return SeenRuns.of([TEXT, "ok", JAPANESE])


@pytest.mark.parametrize(
    ("reply", "copied"),
    [
        ("on tuesday WE walked   along\nthe river until", 8),
        ("on tuesday we walked along the river", 0),
        (f"well, {TEXT}!", 11),
        ("until it got dark we walked along the river", 0),
        (JAPANESE[2:28], 26),
        (JAPANESE[:23], 0),
        ("", 0),
    ],
)
def test_runs_of_eight_words_or_24_characters_are_copies(seen, reply, copied):
    assert seen.copied(words(reply)).sum() == copied


def test_what_the_prompt_says_may_be_said_again(seen):
    assert not seen.copied(words(TEXT), prompt=f"> {TEXT}").any()


def test_shares_of_replies_and_of_text_with_the_person_as_reference():
    made = [Reply(TEXT, 0), Reply("nothing to see here at all", 1), Reply(TEXT, 2)]
    real = [Reply(TEXT, 0)] + [Reply("fine by me", n) for n in range(1, 4)]
    found = copies(real, made, {2: TEXT}, [TEXT], seed=1)
    assert found["copied_replies"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["copied_replies"]["ceiling"] == 0.25
    assert found["copied_text"]["value"] == pytest.approx(11 / 28, abs=1e-4)
    assert found["copied_text"]["ceiling"] == pytest.approx(11 / 20)


def test_old_messages_said_again_are_counted_message_by_message():
    known = ["good night my love", "I don’t know why\nsleep well my dear friend", "ok"]
    made = [Reply("Good night, my LOVE!!\nok", 0), Reply("i don't know why\nwhat do you think", 1)]
    real = [Reply("I had a very long day", 0)]
    found = copies(real, made, {}, known, seed=1)["repeated_messages"]
    assert found["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["ceiling"] == 0.0
    short = copies([], [Reply("ok", 0)], {}, known, seed=1)["repeated_messages"]
    assert short["value"] is None


def test_personal_data_is_counted_once_and_placeholders_are_not():
    text = "write to ana@example.org or call +49 1512 3456789, card 4111 1111 1111 1111"
    assert [kind for kind, _ in personal(text)] == ["email", "card", "phone"]
    assert dict(personal(text))["email"] == "ana@example.org"
    assert not personal("my mail is [email], call [phone], see [link example.org] @[name]")
    assert not personal("at 9, in 2024, room 12, https://example.org/12345678")


def test_a_leak_is_a_sentence_that_quotes_nothing():
    made = [Reply(TEXT, n) for n in range(9)] + [Reply("ask ana@example.org", 9)]
    real = [Reply("fine by me", n) for n in range(10)]
    said = leak_warning(copies(real, made, {}, [TEXT, "mail Ana@example.org"], seed=1))
    assert "90.0 % of the replies" in said
    assert "email 1" in said
    assert "Tuesday" not in said
    assert "ana" not in said


def test_no_leak_where_the_person_repeats_as_much():
    both = [Reply(TEXT, 0), Reply("fine by me", 1)]
    assert leak_warning(copies(both, both, {}, [TEXT], seed=1)) == ""
    assert leak_warning({}) == ""
    assert leak_warning(copies([], [], {}, [], seed=1)) == ""


def test_what_the_model_makes_up_is_no_leak():
    made = [Reply("call 555 0123 4567 8901 or write to bo@example.net", 0)]
    found = copies(made, made, {}, ["nothing of the kind"], seed=1)["personal_data"]
    assert found["value"] == 0
    assert "made up" in found["note"]
