"""The cleaning rules. Each takes a message and returns it, a changed copy, or None to drop it.

`RULES` is the order in which they are applied. To add a rule, add a row.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache

from pipeline.cleaning.personal import MENTION
from pipeline.exports.message import Kind, Message
from pipeline.exports.whatsapp.characters import APP_MARKS, PLAIN, WITHOUT_MARKS
from pipeline.exports.whatsapp.notices import notice_topic
from pipeline.exports.whatsapp.phrases import phrases

Rule = Callable[[Message], Message | None]


def drop_if(unwanted: Callable[[Message], bool]) -> Rule:
    """A rule that drops whole messages."""
    return lambda message: None if unwanted(message) else message


def change_text(change: Callable[[str], str]) -> Rule:
    """A rule that changes the text of messages."""

    def rule(message: Message) -> Message:
        text = change(message.text)
        return message if text == message.text else replace(message, text=text)

    return rule


def _drop_kinds(*kinds: Kind) -> Rule:
    return drop_if(lambda message: message.kind in kinds)


def _drop_notice(topic: str) -> Rule:
    return drop_if(lambda message: message.kind == "notice" and notice_topic(message.text) == topic)


def _drop_matches(pattern: str, required: str = "") -> Rule:
    """Drop what contains a match. Every match contains `required`, which is faster to find."""
    search = re.compile(pattern, re.IGNORECASE).search
    return drop_if(lambda message: required in message.text and search(message.text) is not None)


def _cut_matches(pattern: str, required: str) -> Rule:
    sub = re.compile(pattern, re.MULTILINE).sub
    return change_text(lambda text: sub("", text) if required in text else text)


def cut_edit_marks(marks: Iterable[str] = ()) -> Rule:
    """Cut the mark that the app appends to an edited message.

    It is a known phrase, or in any language what stands between angle brackets after a mark of the
    app, or one of `marks` (see `find_edit_marks`).
    """
    known = "|".join(map(re.escape, (*phrases().edited, *(mark[:-1] for mark in marks))))
    marked = rf" ?[{APP_MARKS}]{{1,3}}<[^<>\n]{{3,60}}>"
    mark = re.compile(rf"(?:[ {APP_MARKS}]{{0,3}}(?:{known})\.?>|{marked})[{APP_MARKS}]{{0,3}}\Z")
    ends = (">", *(f">{character}" for character in APP_MARKS))
    return change_text(lambda text: mark.sub("", text) if text.endswith(ends) else text)


@cache
def _cut_known_edit_marks() -> Rule:
    return cut_edit_marks()


MIN_MARKED = 5  # messages of several people that end with the same words in angle brackets


def find_edit_marks(messages: Iterable[Message]) -> set[str]:
    """Edit marks in a language that no table has, with their angle brackets.

    Such a mark ends many messages, whoever sent them. What a single person writes is their own.
    """
    ending = re.compile(r"(?<=\S) (<[^<>\n]*[^\W\d_] [^<>\n]*>)\Z")
    senders: dict[str, Counter[str | None]] = defaultdict(Counter)
    for message in messages:
        if message.kind == "text" and message.text.endswith(">"):
            match = ending.search(message.text)
            if match is not None:
                senders[match[1]][message.sender] += 1
    return {mark for mark, by in senders.items() if by.total() >= MIN_MARKED and len(by) > 1}


MIN_FORWARD = 120  # characters; nobody types as many twice word for word
MAX_TYPED = 2_000  # characters, and …
MAX_TYPED_LINES = 40  # … lines; a longer text was pasted


def drop_forwards() -> Rule:
    """A rule that drops a long text that occurred before, whoever sent it: it was passed on."""
    seen: set[str] = set()

    def is_repeated(message: Message) -> bool:
        if message.kind != "text" or len(message.text) < MIN_FORWARD:
            return False
        text = " ".join(message.text.casefold().split())
        repeated = text in seen
        seen.add(text)
        return repeated

    return drop_if(is_repeated)


def drop_walls() -> Rule:
    """A rule that drops a text longer than people type."""
    return drop_if(lambda m: len(m.text) > MAX_TYPED or m.text.count("\n") >= MAX_TYPED_LINES)


RULES: dict[str, Rule] = {
    "encryption": _drop_notice("encryption"),
    "null": drop_if(lambda message: message.text == "null"),
    "media": _drop_kinds("media", "contact", "view_once"),
    "email": _drop_matches(r"[\w.+\-]@[\w\-]+\.[\w\-]", required="@"),
    "link": _drop_matches(r"(?<!\w)(?:https?://|www\.)\S"),
    "edited": lambda message: _cut_known_edit_marks()(message),  # reads its table when needed
    "deleted": _drop_kinds("deleted"),
    "created_group": _drop_notice("created_group"),
    "added_you": _drop_notice("added_you"),
    # With one of the spaces around it, so that no double space is left.
    "mention": _cut_matches(rf"^{MENTION} ?| ?{MENTION}", required="@"),
    "notice": drop_if(lambda message: message.kind != "text"),
    "marks": change_text(lambda text: text.translate(PLAIN)),
    "empty": drop_if(lambda message: not message.text.translate(WITHOUT_MARKS).strip()),
}
"""Rules by name, in the order in which they are applied."""
