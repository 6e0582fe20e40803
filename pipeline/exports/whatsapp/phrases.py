"""What WhatsApp itself writes into an export: the tables of `phrases.toml`, read when first needed.

The topics of `bodies` stand where a sender's words would; those of `notices` stand alone on
Android and after some name on iOS; `edited` is written behind a message that was changed later.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pipeline.exports.whatsapp.characters import PLAIN
from pipeline.exports.whatsapp.message import Kind

Rows = tuple[tuple[str, str], ...]  # topic, sentence


@dataclass(frozen=True)
class Phrases:
    """Every sentence of every language, with plain spaces and without its final full stop."""

    bodies: Rows
    notices: Rows
    edited: tuple[str, ...]


# The kind of message each topic is, where the two names differ.
KINDS: dict[str, Kind] = {
    "encryption": "notice",
    "created_group": "notice",
    "added_you": "notice",
}


@cache
def phrases() -> Phrases:
    """The tables, each sentence once."""
    text = resources.files(__package__).joinpath("phrases.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    edited = [mark.removesuffix(">") for marks in tables["edited"].values() for mark in marks]
    return Phrases(
        bodies=_rows(tables["bodies"]),
        notices=_rows(tables["notices"]),
        edited=tuple(dict.fromkeys(mark.removesuffix(".") for mark in edited)),
    )


def _rows(table: dict[str, dict[str, list[str]]]) -> Rows:
    rows = (
        (topic, sentence.translate(PLAIN).removesuffix("."))
        for topics in table.values()
        for topic, sentences in topics.items()
        for sentence in sentences
    )
    return tuple(dict.fromkeys(rows))
