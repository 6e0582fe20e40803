"""Turns: bursts of one speaker."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from pipeline.dialogue.turns import Turn, turns
from pipeline.exports.message import Message


def say(sender: str | None, text: str, conversation: int = 0) -> Message:
    return Message(datetime(2024, 1, 1), sender, text, "text", conversation)


def test_a_burst_is_one_turn_of_several_messages() -> None:
    chat = [say("Ann", "hi"), say("Ann", "you there?"), say("Bob", "yes\nwhy"), say("Ann", "ok")]

    assert turns(chat) == [
        Turn("Ann", ("hi", "you there?")),
        Turn("Bob", ("yes\nwhy",)),
        Turn("Ann", ("ok",)),
    ]


def test_text_and_bytes_of_a_turn() -> None:
    turn = Turn("Ann", ("né", "x\ny"))

    assert turn.text == "né\nx\ny"
    assert turn.bytes == 6


def test_a_new_conversation_ends_a_turn() -> None:
    assert [turn.text for turn in turns([say("Ann", "bye"), say("Ann", "hi", 1)])] == ["bye", "hi"]


def test_what_nobody_sent_is_no_turn_and_ends_none() -> None:
    notice = replace(say(None, "Cleo left"), kind="notice")

    assert turns([notice, say("Ann", "a"), notice, say("Ann", "b")]) == [Turn("Ann", ("a", "b"))]


def test_nothing_said() -> None:
    assert turns([]) == []
