"""The cleaning rules. Each looks at one message and returns it, a shorter one, or None to drop it.

`RULES` is the order in which they are applied. A rule is added by adding a row.
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


def dropping(unwanted: Callable[[Message], bool]) -> Rule:
    """Drop a whole message."""
    return lambda message: None if unwanted(message) else message


def _drop_kinds(*kinds: Kind) -> Rule:
    return dropping(lambda message: message.kind in kinds)


def _drop_notice(topic: str) -> Rule:
    return dropping(
        lambda message: message.kind == "notice" and notice_topic(message.text) == topic
    )


def _drop_with(pattern: str, sign: str = "") -> Rule:
    """Drop what holds the pattern; `sign`, which all that fits it holds, is quicker to look for."""
    search = re.compile(pattern, re.IGNORECASE).search
    return dropping(lambda message: sign in message.text and search(message.text) is not None)


def _cut(pattern: str, sign: str) -> Rule:
    sub = re.compile(pattern, re.MULTILINE).sub
    return changing(lambda text: sub("", text) if sign in text else text)


def changing(shorten: Callable[[str], str]) -> Rule:
    """Change the text of a message."""

    def rule(message: Message) -> Message:
        text = shorten(message.text)
        return message if text == message.text else replace(message, text=text)

    return rule


def edited(marks: Iterable[str] = ()) -> Rule:
    """Cut what stands behind a message that was changed: in a language we know; between angle
    brackets after a mark of the app, in any; and `marks` (see `edit_marks`)."""
    known = "|".join(map(re.escape, (*phrases().edited, *(mark[:-1] for mark in marks))))
    marked = rf" ?[{APP_MARKS}]{{1,3}}<[^<>\n]{{3,60}}>"
    find = re.compile(rf"(?:[ {APP_MARKS}]{{0,3}}(?:{known})\.?>|{marked})[{APP_MARKS}]{{0,3}}\Z")
    ends = (">", *(f">{mark}" for mark in APP_MARKS))
    return changing(lambda text: find.sub("", text) if text.endswith(ends) else text)


@cache
def _usual_edited() -> Rule:
    return edited()


MARKED = 5  # messages that end with the same words in brackets, by several people


def edit_marks(messages: Iterable[Message]) -> set[str]:
    """What stands between angle brackets behind many messages, whoever sent them: the mark of an
    edited one in a language that is in no table. What one person alone writes is that person's."""
    end = re.compile(r"(?<=\S) (<[^<>\n]*[^\W\d_] [^<>\n]*>)\Z")
    found: dict[str, Counter[str | None]] = defaultdict(Counter)
    for message in messages:
        if message.kind == "text" and message.text.endswith(">"):
            match = end.search(message.text)
            if match is not None:
                found[match[1]][message.sender] += 1
    return {mark for mark, by in found.items() if by.total() >= MARKED and len(by) > 1}


LONG = 120  # characters; so much is not typed twice word for word
WALL = 2_000  # characters, and
WALL_LINES = 40  # lines, above which a text was pasted


def forwards() -> Rule:
    """Drop a long text that was there before, whoever sent it: it is passed on, not said."""
    seen: set[str] = set()

    def is_again(message: Message) -> bool:
        if message.kind != "text" or len(message.text) < LONG:
            return False
        text = " ".join(message.text.casefold().split())
        known = text in seen
        seen.add(text)
        return known

    return dropping(is_again)


def walls() -> Rule:
    """Drop a text longer than people type."""
    return dropping(lambda m: len(m.text) > WALL or m.text.count("\n") >= WALL_LINES)


RULES: dict[str, Rule] = {
    "encryption": _drop_notice("encryption"),
    "null": dropping(lambda message: message.text == "null"),
    "media": _drop_kinds("media", "contact", "view_once"),
    "email": _drop_with(r"[\w.+\-]@[\w\-]+\.[\w\-]", sign="@"),
    "link": _drop_with(r"(?<!\w)(?:https?://|www\.)\S"),
    "edited": lambda message: _usual_edited()(message),  # its table is read when it is needed
    "deleted": _drop_kinds("deleted"),
    "created_group": _drop_notice("created_group"),
    "added_you": _drop_notice("added_you"),
    # With one of the spaces around it, so that no double space is left.
    "mention": _cut(rf"^{MENTION} ?| ?{MENTION}", sign="@"),
    "notice": dropping(lambda message: message.kind != "text"),
    "marks": changing(lambda text: text.translate(PLAIN)),
    "empty": dropping(lambda message: not message.text.translate(WITHOUT_MARKS).strip()),
}
"""Name to rule, in the order of application."""
