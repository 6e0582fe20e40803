"""Tell what the app wrote from what a person typed.

The sentences in `phrases` become dictionaries (those without gaps) and patterns (the others). On
iOS everything the app writes begins with U+200E or U+200F, in any language, so there a sentence
that begins with one is a notice even when no table has it. What can be told by its form alone, in
any language, comes last.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache, cached_property
from typing import NamedTuple

from pipeline.exports.message import KINDS, Kind
from pipeline.exports.whatsapp.characters import APP_MARKS, PLAIN, WITHOUT_APP_MARKS, WITHOUT_MARKS
from pipeline.exports.whatsapp.phrases import TOPIC_KINDS, phrases

MAX_LENGTH = 1000  # characters of a notice's first line; a longer one was typed


class Piece(NamedTuple):
    """A part of a message's body. `known` is False when only marks or form tell its kind."""

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
_KINDS: dict[str, Kind] = {kind: kind for kind in KINDS} | TOPIC_KINDS

# What its form alone tells, in any language.
_FILE_PREFIXES = ("IMG-", "VID-", "PTT-", "AUD-", "STK-", "DOC-")
_VENUE = "foursquare.com/v/"
_FORMS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("media", re.compile(r"<(?!.*://)[^<>\n]{2,58}>")),
    ("media", re.compile(r"(?:IMG|VID|PTT|AUD|STK|DOC)-\d{8}-WA\d{4}\.\w{2,5} \([^()\n]{3,40}\)")),
    ("media", re.compile(r"<[^<>\n]{2,30}\d{8}-[A-Z]+-\d{4}(?:-\d\d){5}\.\w{2,5}[^<>\n]{0,30}>")),
    (
        "location",
        re.compile(r"(?:[^\n:]{2,30}: ?)?https://maps\.google\.com/\?q=-?[\d.]+,-?[\d.]+"),
    ),
    ("location", re.compile(rf"[^\n]{{1,200}}: https?://(?:\w+\.)?{re.escape(_VENUE)}\w+")),
    (
        "location",
        re.compile(rf"(?:[^\n]{{1,200}}\n){{1,2}}https?://(?:\w+\.)?{re.escape(_VENUE)}\w+"),
    ),
    (
        "poll",
        re.compile(r"[^\W\d_]{2,12}:\n[^\n]+(?:\n[^\n:]{2,15}: [^\n]* \(\d+ [^()\n]{1,12}\))+"),
    ),
)


class _Template:
    """One sentence with gaps; its pattern is compiled when first needed."""

    def __init__(self, topic: str, sentence: str) -> None:
        self.topic = topic
        self._sentence = sentence
        self.literals = _GAP.split(sentence)
        self.longest = max(self.literals, key=len)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        gaps = [_GAPS[gap] for gap in _GAP.findall(self._sentence)]
        pairs = zip(map(re.escape, self.literals), [*gaps, r"\.?"], strict=True)
        return re.compile("".join(part for pair in pairs for part in pair))

    def matches(self, text: str) -> bool:
        return self.longest in text and self._pattern.fullmatch(text) is not None


class _PhraseTable:
    """The sentences of one table. Templates are indexed by their first or last character."""

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        self.exact: dict[str, str] = {}
        self._by_first: defaultdict[str, list[_Template]] = defaultdict(list)
        self._by_last: defaultdict[str, list[_Template]] = defaultdict(list)
        self._others: list[_Template] = []
        for topic, sentence in rows:
            if not _GAP.search(sentence):
                self.exact |= {sentence: topic, f"{sentence}.": topic}
                continue
            template = _Template(topic, sentence)
            first, last = template.literals[0], template.literals[-1]
            if first:
                self._by_first[first[0]].append(template)
            elif last:
                self._by_last[last[-1]].append(template)
            else:
                self._others.append(template)

    @cached_property
    def edges(self) -> tuple[frozenset[str], frozenset[str]]:
        """The first two characters and the last two characters of sentences with gaps."""
        firsts = [t.literals[0][:2] for templates in self._by_first.values() for t in templates]
        lasts = [t.literals[-1][-2:] for templates in self._by_last.values() for t in templates]
        return frozenset(firsts), frozenset(lasts)

    def topic(self, text: str) -> str | None:
        """The topic of the sentence that `text` is an instance of, if any.

        `text` must have no marks and only plain spaces.
        """
        if topic := self.exact.get(text):
            return topic
        if not text:
            return None
        last = text.removesuffix(".")[-1:]
        for templates in (self._by_first.get(text[0]), self._by_last.get(last), self._others):
            for template in templates or ():
                if template.matches(text):
                    return template.topic
        return None


@cache
def _bodies() -> _PhraseTable:
    return _PhraseTable(phrases().bodies)


@cache
def _notices() -> _PhraseTable:
    return _PhraseTable(phrases().notices)


def notice_topic(text: str) -> str | None:
    """The topic of the notice in the first line of `text`, with or without marks; None if typed."""
    line = text[: MAX_LENGTH + 1].partition("\n")[0]
    return _notices().topic(line.translate(PLAIN)) if len(line) <= MAX_LENGTH else None


def body_topic(text: str) -> str | None:
    """The topic of a placeholder such as "image omitted", with or without marks; None if typed."""
    return _bodies().topic(text.translate(PLAIN))


def classify_unsent(text: str) -> Piece:
    """The one piece of a message without a sender."""
    plain = text.translate(WITHOUT_APP_MARKS)
    if topic := body_topic(text):
        return Piece(_KINDS[topic], plain)
    return Piece("notice", plain, notice_topic(text) is not None)


def is_notice(before_colon: str, after_colon: str) -> bool:
    """Whether a line is a notice with a colon in it, rather than the words of a sender.

    `Ann changed the subject to "Plan: B"` is a notice: a quotation is open at the colon.
    """
    if len(before_colon) > MAX_LENGTH:
        return False
    line = after_colon[:MAX_LENGTH].partition("\n")[0]
    straight = before_colon.count('"') % 2 == 1 and '"' in line
    curly = any(
        before_colon.count(opens) > before_colon.count(closes) and closes in line
        for opens, closes in _QUOTES.items()
    )
    return straight or curly or notice_topic(f"{before_colon}: {line}") is not None


class BodyClassifier:
    """Splits the bodies of one file, what stands after a sender, into pieces by kind.

    With `ios`, marks tell the app's words. With `trust_marks`, they also tell words that no table
    has; in a file that was edited or forwarded the marks may be in other places.
    """

    def __init__(self, ios: bool, trust_marks: bool = True) -> None:
        self._ios = ios
        self._trust_marks = ios and trust_marks
        firsts, self._lasts = _bodies().edges
        self._firsts = firsts | {name[:2] for name in _FILE_PREFIXES} | {"ht"}
        self._exact = _bodies().exact | {"null": ""}

    def is_typed(self, body: str) -> bool:
        """A quick check whether a person typed all of `body`. It is never wrongly True."""
        if body[:2] in self._firsts or body[-2:] in self._lasts or "\n" in body or body[0] == "<":
            return False
        if not body.isascii() and (APP_MARKS[0] in body or APP_MARKS[1] in body):
            return False
        return body not in self._exact and _VENUE not in body

    def pieces(self, body: str) -> list[Piece]:
        """The pieces of `body`: a single one, or an attachment and its caption."""
        if topic := self._exact.get(body):
            return [Piece(_KINDS[topic], body)]
        if APP_MARKS[0] in body or APP_MARKS[1] in body:
            return self._marked_pieces(body)
        head, newline, _ = body.partition("\n")
        if newline and head and head[-1] != ":" and _VENUE not in body and self.is_typed(head):
            return [Piece("text", body)]
        return self._app_pieces(body) or [Piece("text", body)]

    def _app_pieces(self, body: str) -> list[Piece] | None:
        """The pieces of a body without marks; None if a person typed all of it."""
        if topic := body_topic(body):
            return [Piece(_KINDS[topic], body)]
        if body == "null" and not self._ios:
            return [Piece("view_once", body)]
        for kind, form in _FORMS:
            if form.fullmatch(body):
                return [Piece(kind, body, known=not body.startswith("<"))]
        head, newline, caption = body.partition("\n")
        if not newline or len(head) > MAX_LENGTH:
            return None
        first = self._app_pieces(head)
        if first is None or first[0].kind not in ("media", "contact"):
            return None
        return [first[0], Piece("text", caption)] if caption.strip() else first

    def _marked_pieces(self, body: str) -> list[Piece]:
        plain = body.translate(WITHOUT_APP_MARKS)
        head, newline, rest = body.partition("\n")
        pieces = self._app_pieces(plain)
        pieces = pieces or self._app_pieces(head.translate(WITHOUT_MARKS) + newline + rest)
        if pieces:
            return pieces
        if body[0] not in APP_MARKS:
            return self._text_before_placeholder(body)
        if self._trust_marks:
            return [Piece("notice", plain, notice_topic(plain) is not None)]
        return [Piece("text", body)]

    def _text_before_placeholder(self, body: str) -> list[Piece]:
        """Typed text and then a placeholder: a file's name and its stand-in, or a caption."""
        match = _LAST_MARK.fullmatch(body)
        if match is None:
            return [Piece("text", body)]
        before, placeholder = match.groups()
        is_file = _DOCUMENT.fullmatch(before[-300:]) is not None
        topic = body_topic(placeholder)
        if topic in ("media", "contact"):
            if is_file:
                return [Piece("media", body.translate(WITHOUT_APP_MARKS))]
            caption = before.rstrip(f" {APP_MARKS}")
            return [Piece(_KINDS[topic], placeholder), Piece("text", caption)]
        is_placeholder = "\n" not in placeholder and not placeholder.startswith("<")
        if is_file and self._trust_marks and is_placeholder:
            return [Piece("media", body.translate(WITHOUT_APP_MARKS), known=False)]
        return [Piece("text", body)]
