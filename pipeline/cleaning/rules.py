"""The cleaning rules. Each looks at one message and returns it, a shorter one, or None to drop it.

`RULES` is the order in which they are applied. A rule is added by adding a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from pipeline.whatsapp.characters import APP_MARKS, PLAIN, WITHOUT_MARKS
from pipeline.whatsapp.message import Kind, Message
from pipeline.whatsapp.notices import notice_topic
from pipeline.whatsapp.phrases import phrases

Rule = Callable[[Message], Message | None]

# A name in isolates may have spaces; a bare one is a word or a telephone number, and @8pm is none.
_NAME = r"(?>\u2068[^\u2069\n]*\u2069|[^\W\d_](?:[\w.\-]*\w)?|\d{6,})"
_MENTION = rf"(?<![\w.+\-@])@{_NAME}(?!@)"


def _drop(unwanted: Callable[[Message], bool]) -> Rule:
    return lambda message: None if unwanted(message) else message


def _drop_kinds(*kinds: Kind) -> Rule:
    return _drop(lambda message: message.kind in kinds)


def _drop_notice(topic: str) -> Rule:
    return _drop(lambda message: message.kind == "notice" and notice_topic(message.text) == topic)


def _drop_with(pattern: str, sign: str = "") -> Rule:
    """Drop what holds the pattern; `sign`, which all that fits it holds, is quicker to look for."""
    search = re.compile(pattern, re.IGNORECASE).search
    return _drop(lambda message: sign in message.text and search(message.text) is not None)


def _cut(pattern: str, sign: str) -> Rule:
    sub = re.compile(pattern, re.MULTILINE).sub
    return _change(lambda text: sub("", text) if sign in text else text)


def _change(shorten: Callable[[str], str]) -> Rule:
    def rule(message: Message) -> Message:
        text = shorten(message.text)
        return message if text == message.text else replace(message, text=text)

    return rule


def _without_edited(text: str) -> str:
    return _edited_mark().sub("", text) if text.endswith((">", f">{APP_MARKS}")) else text


@cache
def _edited_mark() -> re.Pattern[str]:
    """In a language we know; or, between angle brackets after a mark of the app, in any."""
    known = "|".join(map(re.escape, phrases().edited))
    marked = rf" ?[{APP_MARKS}]{{1,3}}<[^<>\n]{{3,60}}>"
    return re.compile(rf"(?:[ {APP_MARKS}]{{0,3}}(?:{known})\.?>|{marked})\Z")


RULES: dict[str, Rule] = {
    "encryption": _drop_notice("encryption"),
    "media": _drop_kinds("media", "contact", "view_once"),
    "email": _drop_with(r"[\w.+\-]@[\w\-]+\.[\w\-]", sign="@"),
    "link": _drop_with(r"(?<!\w)(?:https?://|www\.)\S"),
    "edited": _change(_without_edited),
    "deleted": _drop_kinds("deleted"),
    "null": _drop(lambda message: message.text == "null"),
    "created_group": _drop_notice("created_group"),
    "added_you": _drop_notice("added_you"),
    # With one of the spaces around it, so that no double space is left.
    "mention": _cut(rf"^{_MENTION} ?| ?{_MENTION}", sign="@"),
    "notice": _drop(lambda message: message.kind != "text"),
    "marks": _change(lambda text: text.translate(PLAIN)),
    "empty": _drop(lambda message: not message.text.translate(WITHOUT_MARKS).strip()),
}
"""Name to rule, in the order of application."""
