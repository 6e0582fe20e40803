"""Placeholders for speakers: everybody but the persona, the same ones in a newer export."""

from __future__ import annotations

from datetime import datetime

from pipeline.cleaning.personal import rename_speakers, speaker_placeholders
from pipeline.exports.message import Message


def said(*senders: str | None) -> list[Message]:
    return [Message(datetime(2024, 1, 1), sender, "hi", "text") for sender in senders]


def test_all_but_the_persona_are_numbered_in_the_order_they_speak():
    chat = said("Ben", "Ana", None, "Cem", "Ben")
    renamed = rename_speakers(chat, speaker_placeholders(chat, "Ana"))
    assert [m.sender for m in renamed] == ["Person 1", "Ana", None, "Person 2", "Person 1"]


def test_a_longer_export_keeps_the_numbers():
    old, new = said("Ben", "Ana", "Cem"), said("Ben", "Ana", "Cem", "Dua", "Ben")
    assert speaker_placeholders(old, "Ana").items() <= speaker_placeholders(new, "Ana").items()


def test_what_has_its_placeholder_already_keeps_it():
    chat = said("Ben", "Ana", "Cem")
    called = speaker_placeholders(chat, "Ana")
    once = rename_speakers(chat, called)
    assert rename_speakers(once, called) == once
