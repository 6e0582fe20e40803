"""Speakers without their names: Person 1, Person 2, … in the order in which they first speak."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pipeline.whatsapp.message import Message


def without_names(messages: Iterable[Message], persona: str) -> list[Message]:
    """The messages with a placeholder for every speaker but the persona.

    A newer export of the same chat gives everybody the same number again. Names inside a text stay:
    `clean.private_words` is for those.
    """
    called = {persona: persona}
    found = []
    for message in messages:
        if message.sender is not None:
            name = called.setdefault(message.sender, f"Person {len(called)}")
            message = replace(message, sender=name)
        found.append(message)
    return found
