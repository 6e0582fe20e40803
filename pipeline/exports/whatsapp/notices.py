"""Telling what the app wrote from what a person typed.

`phrases` holds the sentences; here they become dictionaries (sentences without a gap) and patterns
(the others). On iOS everything the app writes begins with U+200E or U+200F, in any language, so
there a sentence that no table knows is a notice too when it begins with one. What only its shape
gives away, in any language, comes last.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache, cached_property
from typing import NamedTuple, get_args

from pipeline.exports.whatsapp.characters import APP_MARKS, PLAIN, WITHOUT_APP_MARKS, WITHOUT_MARKS
from pipeline.exports.whatsapp.message import Kind
from pipeline.exports.whatsapp.phrases import KINDS as TOPIC_KINDS
from pipeline.exports.whatsapp.phrases import phrases

LONGEST = 1000  # characters of a notice's first line; what is longer was typed


class Piece(NamedTuple):
    """A part of what stands after a name; `known` unless only marks or shape spoke for its kind."""

    kind: Kind
    text: str
    known: bool = True


_GAPS = {
    "{A}": r"(?:(?!: )[^\n])+?",  # whoever acts comes before any colon
    "{B}": r"[^\n]+?",
    "{C}": r"[^\n]+?",
    "{file}": r"[^\n]*?\.\w{1,8}",
    "{n}": r"\d+",
    "{unit}": r"\w{1,5}",
    "{url}": r"https?://\S+",
    "{text}": r"(?s:.*)",
}
_GAP = re.compile("|".join(map(re.escape, _GAPS)))
_QUOTES = {"“": "”", "„": "“", "«": "»", "「": "」"}
_LAST_MARK = re.compile(rf"(.*)[{APP_MARKS}]([^{APP_MARKS}]+)", re.DOTALL)
_DOCUMENT = re.compile(rf"[^\n]{{1,250}}\.\w{{1,8}}(?: •[^\n]{{0,40}})?[{APP_MARKS} ]*")
_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)} | TOPIC_KINDS

# What needs no table: the form alone tells.
_FILES = ("IMG-", "VID-", "PTT-", "AUD-", "STK-", "DOC-")
_PLACE = "foursquare.com/v/"
_SHAPES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("media", re.compile(r"<(?!.*://)[^<>\n]{2,58}>")),
    ("media", re.compile(r"(?:IMG|VID|PTT|AUD|STK|DOC)-\d{8}-WA\d{4}\.\w{2,5} \([^()\n]{3,40}\)")),
    ("media", re.compile(r"<[^<>\n]{2,30}\d{8}-[A-Z]+-\d{4}(?:-\d\d){5}\.\w{2,5}[^<>\n]{0,30}>")),
    (
        "location",
        re.compile(r"(?:[^\n:]{2,30}: ?)?https://maps\.google\.com/\?q=-?[\d.]+,-?[\d.]+"),
    ),
    ("location", re.compile(rf"[^\n]{{1,200}}: https?://(?:\w+\.)?{re.escape(_PLACE)}\w+")),
    (
        "location",
        re.compile(rf"(?:[^\n]{{1,200}}\n){{1,2}}https?://(?:\w+\.)?{re.escape(_PLACE)}\w+"),
    ),
    (
        "poll",
        re.compile(r"[^\W\d_]{2,12}:\n[^\n]+(?:\n[^\n:]{2,15}: [^\n]* \(\d+ [^()\n]{1,12}\))+"),
    ),
)


class _Template:
    """One sentence with gaps; its pattern is made when it is first asked for."""

    def __init__(self, topic: str, sentence: str) -> None:
        self.topic = topic
        self._sentence = sentence
        self.literals = _GAP.split(sentence)
        self.longest = max(self.literals, key=len)

    @cached_property
    def _fullmatch(self) -> re.Pattern[str]:
        gaps = [_GAPS[gap] for gap in _GAP.findall(self._sentence)]
        pairs = zip(map(re.escape, self.literals), [*gaps, r"\.?"], strict=True)
        return re.compile("".join(part for pair in pairs for part in pair))

    def fits(self, text: str) -> bool:
        return self.longest in text and self._fullmatch.fullmatch(text) is not None


class _Book:
    """The sentences of one table: `topic(text)` is the topic of the one that `text` is."""

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        self.exact: dict[str, str] = {}
        self._first: defaultdict[str, list[_Template]] = defaultdict(list)
        self._last: defaultdict[str, list[_Template]] = defaultdict(list)
        self._others: list[_Template] = []
        for topic, sentence in rows:
            if _GAP.search(sentence):
                self._add(_Template(topic, sentence))
            else:
                self.exact |= {sentence: topic, f"{sentence}.": topic}

    def _add(self, template: _Template) -> None:
        first, last = template.literals[0], template.literals[-1]
        if first:
            self._first[first[0]].append(template)
        elif last:
            self._last[last[-1]].append(template)
        else:
            self._others.append(template)

    @cached_property
    def edges(self) -> tuple[frozenset[str], frozenset[str]]:
        """The first two characters and the last two of sentences with gaps."""
        firsts = [t.literals[0][:2] for found in self._first.values() for t in found]
        lasts = [t.literals[-1][-2:] for found in self._last.values() for t in found]
        return frozenset(firsts), frozenset(lasts)

    def topic(self, text: str) -> str | None:
        """`text` without marks and with plain spaces; None when the app did not write it."""
        if found := self.exact.get(text):
            return found
        if not text:
            return None
        end = text.removesuffix(".")[-1:]
        for templates in (self._first.get(text[0]), self._last.get(end), self._others):
            for template in templates or ():
                if template.fits(text):
                    return template.topic
        return None


@cache
def _bodies() -> _Book:
    return _Book(phrases().bodies)


@cache
def _notices() -> _Book:
    return _Book(phrases().notices)


def notice_topic(text: str) -> str | None:
    """The row of `notices` that the first line of `text` is an instance of, marks or not."""
    line = text[: LONGEST + 1].partition("\n")[0]
    return _notices().topic(line.translate(PLAIN)) if len(line) <= LONGEST else None


def body_topic(text: str) -> str | None:
    """The row of `bodies` that `text` is an instance of, marks or not."""
    return _bodies().topic(text.translate(PLAIN))


def unsent(text: str) -> Piece:
    """A message without a sender."""
    bare = text.translate(WITHOUT_APP_MARKS)
    if topic := body_topic(text):
        return Piece(_KINDS[topic], bare)
    return Piece("notice", bare, notice_topic(text) is not None)


def is_notice(before_colon: str, after_colon: str) -> bool:
    """Whether a line is a notice with a colon in it, not what somebody called so wrote.

    Ann changed the subject to "Plan: B" is one: a quotation is open at the colon.
    """
    if len(before_colon) > LONGEST:
        return False
    line = after_colon[:LONGEST].partition("\n")[0]
    straight = before_colon.count('"') % 2 == 1 and '"' in line
    curly = any(
        before_colon.count(opens) > before_colon.count(closes) and closes in line
        for opens, closes in _QUOTES.items()
    )
    return straight or curly or notice_topic(f"{before_colon}: {line}") is not None


class Reading:
    """How to read what stands after a name, in one file.

    `ios`: marks tell the app's words. `trusted`: also words that no table knows; a file that went
    through other hands may have its marks elsewhere.
    """

    def __init__(self, ios: bool, trusted: bool = True) -> None:
        self._ios = ios
        self._unknown = ios and trusted
        firsts, self._lasts = _bodies().edges
        self._firsts = firsts | {name[:2] for name in _FILES} | {"ht"}
        self._exact = _bodies().exact | {"null": ""}

    def is_typed(self, body: str) -> bool:
        """Whether a person typed all of `body`, as far as a quick look tells: never a wrong yes."""
        if body[:2] in self._firsts or body[-2:] in self._lasts or "\n" in body or body[0] == "<":
            return False
        if not body.isascii() and (APP_MARKS[0] in body or APP_MARKS[1] in body):
            return False
        return body not in self._exact and _PLACE not in body

    def pieces(self, body: str) -> list[Piece]:
        """What a sender's `body` consists of: one piece, or an attachment and its caption."""
        if topic := self._exact.get(body):
            return [Piece(_KINDS[topic], body)]
        if APP_MARKS[0] in body or APP_MARKS[1] in body:
            return self._marked(body)
        head, newline, _ = body.partition("\n")
        if newline and head and head[-1] != ":" and _PLACE not in body and self.is_typed(head):
            return [Piece("text", body)]
        return self._plain(body) or [Piece("text", body)]

    def _plain(self, body: str) -> list[Piece] | None:
        """The pieces of a body without marks; None if a person typed all of it."""
        if topic := body_topic(body):
            return [Piece(_KINDS[topic], body)]
        if body == "null" and not self._ios:
            return [Piece("view_once", body)]
        for kind, shape in _SHAPES:
            if shape.fullmatch(body):
                return [Piece(kind, body, known=not body.startswith("<"))]
        head, newline, caption = body.partition("\n")
        if not newline or len(head) > LONGEST:
            return None
        first = self._plain(head)
        if first is None or first[0].kind not in ("media", "contact"):
            return None
        return [first[0], Piece("text", caption)] if caption.strip() else first

    def _marked(self, body: str) -> list[Piece]:
        bare = body.translate(WITHOUT_APP_MARKS)
        head, newline, rest = body.partition("\n")
        known = self._plain(bare) or self._plain(head.translate(WITHOUT_MARKS) + newline + rest)
        if known:
            return known
        if body[0] in APP_MARKS:
            return [
                Piece("notice", bare, notice_topic(bare) is not None)
                if self._unknown
                else Piece("text", body)
            ]
        return self._marked_at_the_end(body)

    def _marked_at_the_end(self, body: str) -> list[Piece]:
        """What was typed, then a placeholder: a file's name and its stand-in, or a caption."""
        match = _LAST_MARK.fullmatch(body)
        if match is None:
            return [Piece("text", body)]
        is_file = _DOCUMENT.fullmatch(match[1][-300:]) is not None
        topic = body_topic(match[2])
        if topic not in ("media", "contact"):
            is_placeholder = is_file and self._unknown and "\n" not in match[2]
            is_placeholder = is_placeholder and not match[2].startswith("<")
            return [
                Piece("media", body.translate(WITHOUT_APP_MARKS), known=False)
                if is_placeholder
                else Piece("text", body)
            ]
        if is_file:
            return [Piece("media", body.translate(WITHOUT_APP_MARKS))]
        caption = match[1].rstrip(f" {APP_MARKS}")
        return [Piece(_KINDS[topic], match[2]), Piece("text", caption)]
