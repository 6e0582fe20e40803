"""Speakers without their names: Person 1, Person 2, … in the order in which they first speak."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipeline.exports.message import Message


def placeholders(messages: Iterable[Message], persona: str) -> dict[str, str]:
    """What everybody is called. An export that begins with the same messages gives the same."""
    called = {persona: persona}
    for message in messages:
        if message.sender is not None:
            called.setdefault(message.sender, f"Person {len(called)}")
    return called


def without_names(messages: Iterable[Message], called: Mapping[str, str]) -> list[Message]:
    """The messages with placeholders for those who have one.

    Names inside a text stay: `clean.private_words` is for those.
    """
    return [
        message if message.sender is None else replace(message, sender=_name(message, called))
        for message in messages
    ]


def _name(message: Message, called: Mapping[str, str]) -> str:
    sender = message.sender or ""
    return called.get(sender, sender)
