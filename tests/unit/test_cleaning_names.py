"""Placeholders for speakers: everybody but the persona, the same ones in a newer export."""

from __future__ import annotations

from datetime import datetime

from pipeline.cleaning.names import placeholders, without_names
from pipeline.exports.message import Message


def said(*senders: str | None) -> list[Message]:
    return [Message(datetime(2024, 1, 1), sender, "hi", "text") for sender in senders]


def test_all_but_the_persona_are_numbered_in_the_order_they_speak():
    chat = said("Ben", "Ana", None, "Cem", "Ben")
    found = without_names(chat, placeholders(chat, "Ana"))
    assert [m.sender for m in found] == ["Person 1", "Ana", None, "Person 2", "Person 1"]


def test_a_longer_export_keeps_the_numbers():
    old, new = said("Ben", "Ana", "Cem"), said("Ben", "Ana", "Cem", "Dua", "Ben")
    assert placeholders(old, "Ana").items() <= placeholders(new, "Ana").items()


def test_what_has_its_placeholder_already_keeps_it():
    chat = said("Ben", "Ana", "Cem")
    called = placeholders(chat, "Ana")
    once = without_names(chat, called)
    assert without_names(once, called) == once
