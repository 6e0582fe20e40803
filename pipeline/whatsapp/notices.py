"""Telling what the app wrote from what a person typed.

`phrases` holds the sentences; here they become dictionaries (sentences without a gap) and patterns
(the others). On iOS everything the app writes begins with U+200E or U+200F, in any language, so
there a sentence that no table knows is a notice too when it begins with one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import get_args

from pipeline.whatsapp import phrases
from pipeline.whatsapp.characters import APP_MARKS, WITHOUT_MARKS
from pipeline.whatsapp.message import Kind

Piece = tuple[Kind, str]

_GAPS = {
    "{A}": r"(?:(?!: )[^\n])+?",  # whoever acts comes before any colon
    "{B}": r"[^\n]+?",
    "{C}": r"[^\n]+?",
    "{file}": r"[^\n]+?\.\w{1,8}",
    "{n}": r"\d+",
    "{unit}": r"\w{1,5}",
    "{text}": r"(?s:.*)",
}
_GAP = re.compile("|".join(map(re.escape, _GAPS)))
_QUOTES = {"“": "”", "„": "“", "«": "»", "「": "」"}
_LAST_MARK = re.compile(rf"(.*)[{APP_MARKS}]([^{APP_MARKS}]+)", re.DOTALL)
_DOCUMENT = re.compile(rf"[^\n]+\.\w{{1,8}}(?: •[^\n]*)?[{APP_MARKS} ]*")
_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)} | phrases.KINDS


class _Book:
    """The templates of one table, compiled: `topic(text)` is the topic of the one that fits."""

    def __init__(self, table: dict[str, phrases.Phrases]) -> None:
        rows = list(_rows(table))
        self._exact = {text: topic for topic, text in rows if not _GAP.search(text)}
        self._exact |= {f"{text}.": topic for text, topic in self._exact.items()}
        with_gaps = [(topic, text) for topic, text in rows if _GAP.search(text)]
        self._pattern = _alternatives(with_gaps)
        # Nearly every message is ruled out by how it begins and by the character it ends with.
        edges = [(_GAP.split(text)[0], _GAP.split(text)[-1]) for _, text in with_gaps]
        self._begins = re.compile("|".join(re.escape(first) for first, _ in edges if first))
        self._ends = {last[-1:] for first, last in edges if not first}

    def topic(self, text: str) -> str | None:
        """`text` without marks; None when the app did not write it."""
        if found := self._exact.get(text):
            return found
        if "" in self._ends or text[-1:] in self._ends or self._begins.match(text):
            match = self._pattern.fullmatch(text)
            return match.lastgroup if match else None
        return None


def _rows(table: dict[str, phrases.Phrases]) -> Iterator[tuple[str, str]]:
    for topics in table.values():
        for topic, templates in topics.items():
            yield from ((topic, template.removesuffix(".")) for template in templates)


def _alternatives(rows: Iterable[tuple[str, str]]) -> re.Pattern[str]:
    """One group for each topic."""
    sources: dict[str, list[str]] = {}
    for topic, template in rows:
        gaps = [_GAPS[gap] for gap in _GAP.findall(template)]
        literals = map(re.escape, _GAP.split(template))
        pairs = zip(literals, [*gaps, r"\.?"], strict=True)
        sources.setdefault(topic, []).append("".join(part for pair in pairs for part in pair))
    return re.compile("|".join(f"(?P<{topic}>{'|'.join(s)})" for topic, s in sources.items()))


_BODIES = _Book(phrases.BODIES)
_NOTICES = _Book(phrases.NOTICES)


def notice_topic(text: str) -> str | None:
    """The row of `phrases.NOTICES` that `text` is an instance of, marks or not."""
    return _NOTICES.topic(text.translate(WITHOUT_MARKS).partition("\n")[0])


def unsent_kind(text: str) -> Kind:
    """The kind of a message without a sender."""
    topic = _BODIES.topic(text.translate(WITHOUT_MARKS))
    return _KINDS[topic] if topic else "notice"


def is_notice(before_colon: str, after_colon: str) -> bool:
    """Whether a line is a notice with a colon in it, not what somebody called so wrote.

    Ann changed the subject to "Plan: B" is one: a quotation is open at the colon.
    """
    line = after_colon.partition("\n")[0]
    straight = before_colon.count('"') % 2 == 1 and '"' in line
    curly = any(
        before_colon.count(opens) > before_colon.count(closes) and closes in line
        for opens, closes in _QUOTES.items()
    )
    return straight or curly or notice_topic(f"{before_colon}: {line}") is not None


def pieces(body: str, ios: bool) -> list[Piece]:
    """What a sender's `body` consists of: one piece, or an attachment and its caption."""
    if APP_MARKS[0] in body or APP_MARKS[1] in body:
        return _marked(body, ios)
    return _plain(body) or [("text", body)]


def _plain(body: str) -> list[Piece] | None:
    """The pieces of a body without marks; None if a person typed all of it."""
    if topic := _BODIES.topic(body):
        return [(_KINDS[topic], body)]
    head, newline, caption = body.partition("\n")
    if newline and _BODIES.topic(head) == "media":
        return [("media", head), ("text", caption)] if caption.strip() else [("media", body)]
    return None


def _marked(body: str, ios: bool) -> list[Piece]:
    head, newline, rest = body.partition("\n")
    bare = head.translate(WITHOUT_MARKS)
    if known := _plain(bare + newline + rest):
        # The app's words keep their marks in the text.
        return [(known[0][0], body)] if len(known) == 1 else [(known[0][0], head), known[1]]
    if body[0] in APP_MARKS:
        return [("notice", body)] if ios else [("text", body)]
    match = _LAST_MARK.fullmatch(body)
    if match is None or _BODIES.topic(match[2]) != "media":
        return [("text", body)]
    if _DOCUMENT.fullmatch(match[1]):
        return [("media", body)]
    caption = match[1].rstrip(f" {APP_MARKS}")
    return [("media", body[len(match[1]) :]), ("text", caption)]
