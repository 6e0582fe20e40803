"""The cleaning rules, one by one and together."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from pipeline.cleaning.clean import CleaningLog, clean
from pipeline.cleaning.message_rules import Rule, cut_edit_marks, find_edit_marks
from pipeline.cleaning.ruleset import build_rules
from pipeline.common.errors import SettingsError
from pipeline.exports.message import Kind, Message

NOW = datetime(2024, 3, 5, 9, 7)


def message(text: str, kind: Kind = "text") -> Message:
    return Message(NOW, None if kind == "notice" else "Ann", text, kind, 0)


def chosen(*names: str) -> dict[str, Rule]:
    return build_rules("reference", names, {})


@pytest.mark.parametrize(
    ("rule", "text", "kind"),
    [
        ("encryption", "Messages and calls are end-to-end encrypted. Tap to learn more.", "notice"),
        ("media", "<Media omitted>", "media"),
        ("media", "Alex.vcf (file attached)", "contact"),
        ("media", "", "view_once"),
        ("email", "write to ann.b+c@example.co.uk please", "text"),
        ("link", "see HTTPS://example.com", "text"),
        ("link", "www.example.com/x", "text"),
        ("deleted", "You deleted this message", "deleted"),
        ("null", "null", "text"),
        ("created_group", 'Ann created group "X"', "notice"),
        ("added_you", "Ann added you", "notice"),
        ("notice", "Ann left", "notice"),
        ("notice", "Missed voice call", "call"),
        ("notice", "live location shared", "location"),
        ("empty", " \n\u200e", "text"),
    ],
)
def test_dropped(rule: str, text: str, kind: Kind) -> None:
    log = CleaningLog()

    assert list(clean([message(text, kind)], chosen(rule), log)) == []
    assert log.counts == {rule: 1}
    assert [(r.rule, r.action, r.message.text) for r in log.changes] == [(rule, "dropped", text)]


@pytest.mark.parametrize(
    ("rule", "text", "left"),
    [
        ("edited", "see you <This message was edited>", "see you"),
        ("edited", "see you \u200e<This message was edited>", "see you"),
        ("edited", "see you <This message was edited>\u200e", "see you"),
        ("edited", "увидимся ‹Сообщение изменено>", "увидимся"),
        ("mention", "@\u2068Ann Lee\u2069 come", "come"),
        ("mention", "hello @Bob, come", "hello, come"),
        ("mention", "ask @447700900123 too", "ask too"),
        ("mention", "a\n@Bob b @Cleo", "a\nb"),
        ("marks", "\u200ewhat\u00a0? 10\u202fpm\u200f", "what ? 10 pm"),
    ],
)
def test_cut(rule: str, text: str, left: str) -> None:
    log = CleaningLog()

    (kept,) = clean([message(text)], chosen(rule), log)

    assert kept == message(left)
    assert [(r.rule, r.action, r.message.text) for r in log.changes] == [(rule, "cut", text)]


@pytest.mark.parametrize(
    "text",
    [
        "Messages and calls are end-to-end encrypted. Says who?",
        "she added you",
        "null and void",
        "<This message was edited> he wrote",
        "@8pm?",
        "a @ b",
        "awww.so cute",
        "👩🏽‍🚀 می\u200cخواهم ½ ﬁ",
        "two  spaces\n\n and lines",
    ],
)
def test_speech_is_left_alone(text: str) -> None:
    assert list(clean([message(text)])) == [message(text)]


def test_a_mark_in_a_language_of_no_table_is_known_by_how_often_it_ends_a_message() -> None:
    mark = "<Viesti on muokattu>"
    said = [message(f"number {n} {mark}") for n in range(5)]
    own = [message(text) for text in ["come here <big hug>", "x <3>"] * 9 + [mark]]
    assert find_edit_marks([*said, *own]) == set()
    said[0] = replace(said[0], sender="Bob")
    marks = find_edit_marks([*said, *own])
    assert marks == {mark}
    assert cut_edit_marks(marks)(said[0]).text == "number 0"  # type: ignore[union-attr]
    assert cut_edit_marks()(said[0]).text == said[0].text  # type: ignore[union-attr]


def test_an_address_is_not_a_mention() -> None:
    address = message("write to ann@example.com or @user@example.com")

    assert list(clean([address], chosen("mention"))) == [address]


def test_rules_are_applied_in_the_order_of_the_table() -> None:
    said = message("@\u2068Bob\u2069 \u200e<This message was edited>")
    log = CleaningLog()

    assert list(clean([said], chosen("empty", "mention", "edited"), log)) == []
    assert [(r.rule, r.message.text) for r in log.changes] == [
        ("edited", said.text),
        ("mention", "@\u2068Bob\u2069"),
        ("empty", ""),
    ]


def test_every_chosen_rule_is_counted_and_only_those() -> None:
    log = CleaningLog()

    assert len(list(clean([message("hi"), message("www.x.y")], chosen("null", "link"), log))) == 1
    assert log.counts == {"null": 0, "link": 1}


def test_without_rules_nothing_changes() -> None:
    messages = [message("<Media omitted>", "media")]

    assert list(clean(messages, chosen())) == messages


def test_an_unknown_rule_is_refused_before_anything_is_read() -> None:
    with pytest.raises(SettingsError, match="no rule 'links'; the nearest is 'link'"):
        chosen("links")


def test_a_line_of_the_removed_file() -> None:
    log = CleaningLog()
    list(clean([message("null")], log=log))

    assert log.changes[0].to_dict() == {
        "time": "2024-03-05T09:07:00",
        "sender": "Ann",
        "text": "null",
        "rule": "null",
        "action": "dropped",
    }


@pytest.mark.parametrize("text", ["@" + "a" * 65_000 + "@", " " * 65_000 + ">", "a.@" * 20_000])
def test_no_text_takes_long(text: str) -> None:
    assert len(list(clean([message(text)]))) <= 1
