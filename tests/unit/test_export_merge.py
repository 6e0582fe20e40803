"""Joining exports: overlaps once, order kept, and which chats are the same one."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from pipeline.exports.merge import Renames, join_exports, merge
from pipeline.exports.message import Message

START = datetime(2024, 1, 1)


def chat(*texts: str, at: int = 0, number: int = 0, sender: str = "Ann") -> list[Message]:
    """One message a minute, the first at minute `at`."""
    return [
        Message(START + timedelta(minutes=at + n), sender, text, "text", number)
        for n, text in enumerate(texts)
    ]


def said(messages: list[Message]) -> str:
    return " ".join(message.text for message in messages)


def test_overlapping_exports_in_any_order() -> None:
    old, new = chat(*"abcd"), chat(*"cdef", at=2)

    assert said(merge([old, new])) == said(merge([new, old])) == "a b c d e f"


def test_the_same_words_at_the_same_time_stay_as_often_as_they_were_said() -> None:
    ha = Message(START, "Ann", "ha")

    assert merge([[ha, ha], [ha, ha, ha], [ha]]) == [ha, ha, ha]


def test_a_file_that_is_not_in_order_of_time_keeps_its_order() -> None:
    late_notice = Message(START + timedelta(days=9), None, "n", "notice")
    old = [late_notice, *chat(*"ab")]
    new = [late_notice, *chat(*"bc", at=1)]

    assert said(merge([old, new])) == "a n b c"
    assert said(merge([old])) == "n a b"


def test_a_late_notice_at_the_top_does_not_hold_back_the_rest() -> None:
    old = [Message(START + timedelta(days=9), None, "n", "notice"), *chat(*"ab")]

    assert said(merge([old, chat(*"cd", at=60 * 24 * 20)])) == "n a b c d"


def test_nothing_to_merge() -> None:
    assert merge([]) == merge([[], []]) == []


def test_exports_of_one_chat_get_one_number() -> None:
    joined = join_exports([chat(*"abcd"), chat(*"cdef", at=2)])

    assert said(joined) == "a b c d e f"
    assert {message.conversation for message in joined} == {0}


def test_an_export_within_another_is_the_same_chat() -> None:
    joined = join_exports([chat(*"abcdefgh"), chat("d", at=3)])

    assert said(joined) == "a b c d e f g h"


def test_different_chats_stay_apart_even_with_a_message_in_common() -> None:
    ours = chat(*"abcd", "happy new year", *"ef")
    theirs = chat(*"ghij", "happy new year", *"kl")

    joined = join_exports([ours, theirs])

    assert len(joined) == 14
    assert [m.conversation for m in joined] == [0] * 7 + [1] * 7


def test_chats_of_one_export_are_told_apart_by_their_number() -> None:
    joined = join_exports([chat(*"ab") + chat(*"xy", number=1), chat(*"xyz")])

    assert [(m.text, m.conversation) for m in joined] == [
        *[("a", 0), ("b", 0)],
        *[("x", 1), ("y", 1), ("z", 1)],
    ]


def test_three_pieces_that_only_meet_in_the_middle() -> None:
    pieces = [chat(*"abc"), chat(*"fgh", at=5), chat(*"bcdefg", at=1)]

    assert said(join_exports(pieces)) == "a b c d e f g h"


def test_the_newer_text_of_an_edited_message_wins() -> None:
    old = chat("a", "helo", "c")
    new = chat("hello <This message was edited>", "c", "d", at=1)

    assert said(merge([old, new])) == "a hello <This message was edited> c d"
    assert said(merge([new, old])) == "a hello <This message was edited> c d"


def test_a_sender_saved_since_is_one_person() -> None:
    old = chat(*"abcd", sender="+44 7700 900123")
    new = chat(*"cde", at=2, sender="Zed")
    names: Renames = Counter()

    joined = join_exports([old, new], names)

    assert [(m.sender, m.text) for m in joined] == [
        ("+44 7700 900123", "a"),
        ("+44 7700 900123", "b"),
        ("Zed", "c"),
        ("Zed", "d"),
        ("Zed", "e"),
    ]
    assert names == {("+44 7700 900123", "Zed"): 2}
