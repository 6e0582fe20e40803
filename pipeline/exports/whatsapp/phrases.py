"""The sentences that WhatsApp itself writes into an export, read from `phrases.toml` when needed.

The sentences of `bodies` stand where a sender's words would; those of `notices` stand alone on
Android and after some name on iOS; `edited` is appended to a message that was edited.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pipeline.exports.message import Kind
from pipeline.exports.whatsapp.characters import PLAIN

Rows = tuple[tuple[str, str], ...]  # (topic, sentence)


@dataclass(frozen=True)
class Phrases:
    """Every sentence in every language, with plain spaces and without a final period."""

    bodies: Rows
    notices: Rows
    edited: tuple[str, ...]


# Topics that are not the name of a kind, and the kind of their messages.
TOPIC_KINDS: dict[str, Kind] = {
    "encryption": "notice",
    "created_group": "notice",
    "added_you": "notice",
}


@cache
def phrases() -> Phrases:
    """The tables; each sentence occurs once."""
    text = resources.files(__package__).joinpath("phrases.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    edited = [mark.removesuffix(">") for marks in tables["edited"].values() for mark in marks]
    return Phrases(
        bodies=_rows(tables["bodies"]),
        notices=_rows(tables["notices"]),
        edited=tuple(dict.fromkeys(mark.removesuffix(".") for mark in edited)),
    )


def _rows(table: dict[str, dict[str, list[str]]]) -> Rows:
    """`table`: language → topic → sentences."""
    rows = (
        (topic, sentence.translate(PLAIN).removesuffix("."))
        for topics in table.values()
        for topic, sentences in topics.items()
        for sentence in sentences
    )
    return tuple(dict.fromkeys(rows))
