"""What `inspect` finds in an export: who speaks, and whether it is enough to learn from.

No text of a message is among it except, up to three times, a line that looks like the app's own
words and is in no table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from pipeline.common.words import EMOJI, count_words
from pipeline.exports.aliases import likely_pairs
from pipeline.exports.exported_chat import ChatReport, DateOrder
from pipeline.exports.message import Kind, Message
from pipeline.exports.read_export import ExportReport
from pipeline.workspace.export_store import read_exports

PAUSE = timedelta(minutes=5)  # a longer one ends a burst

# Words of one person, and what they are enough for: rules of thumb, to be sharpened by experience.
ENOUGH_WORDS = 5_000
SOME_WORDS = 1_000
# Words of a whole chat from which a small model learns to write sentences at all.
LANGUAGE_WORDS = 1_000_000

SKIPPED: dict[Kind, str] = {
    "notice": "notices of the app",
    "media": "pictures, sounds, videos and documents",
    "deleted": "deleted messages",
    "call": "calls",
    "location": "places",
    "contact": "contacts",
    "poll": "polls",
    "event": "events",
    "view_once": "view-once media",
    "waiting": "messages that had not arrived",
}


@dataclass
class Speaker:
    """What one person wrote; `messages` are those with text of their own."""

    name: str
    messages: int = 0
    words: int = 0
    emoji: int = 0
    bursts: int = 0
    first: date | None = None
    last: date | None = None

    @property
    def is_enough(self) -> bool:
        """Whether this person can be imitated."""
        return self.words >= ENOUGH_WORDS


@dataclass(frozen=True)
class Findings:
    """What is in some exports, and what it is enough for."""

    report: ExportReport
    speakers: tuple[Speaker, ...]  # most words first
    kinds: dict[Kind, int]
    pairs: tuple[tuple[str, str], ...]  # who may be one person
    repeats: int  # messages that more than one export has
    words: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", sum(speaker.words for speaker in self.speakers))

    @property
    def confidence(self) -> float:
        """Of the least certain chat."""
        return min(chat.confidence for chat in self.report.chats)


def find(
    paths: Sequence[Path], date_order: DateOrder = "auto", aliases: Sequence[str] = ()
) -> Findings:
    """Read exports, joined where they overlap, and count. Raises ExportError as `read_export`."""
    exports = read_exports(paths, date_order, aliases)
    messages = exports.messages
    chats = tuple(chat for report in exports.reports for chat in report.chats)
    ignored = tuple(name for report in exports.reports for name in report.ignored)
    speakers = count_speakers(messages)
    pairs = dict.fromkeys(likely_pairs({s.name: s.messages for s in speakers}))
    pairs |= dict.fromkeys((new, old) for old, new in exports.renamed)
    kinds = Counter(message.kind for message in messages)
    read = sum(sum(chat.kinds.values()) for chat in chats)
    return Findings(
        report=ExportReport(chats, ignored),
        speakers=tuple(sorted(speakers, key=lambda speaker: -speaker.words)),
        kinds=dict(kinds.most_common()),
        pairs=tuple(pairs),
        repeats=read - len(messages),
    )


def count_speakers(messages: Iterable[Message]) -> list[Speaker]:
    """What each person wrote, in order of first appearance."""
    speakers: dict[str, Speaker] = {}
    last: tuple[str, datetime] | None = None
    for message in messages:
        if message.sender is None or message.kind != "text":
            continue
        speaker = speakers.setdefault(message.sender, Speaker(message.sender))
        day = message.time.date()
        speaker.messages += 1
        speaker.words += count_words(message.text)
        speaker.emoji += sum(1 for _ in EMOJI.finditer(message.text))
        goes_on = last is not None and last[0] == message.sender
        speaker.bursts += not (goes_on and message.time - last[1] <= PAUSE) if last else 1
        speaker.first = min(speaker.first or day, day)
        speaker.last = max(speaker.last or day, day)
        last = message.sender, message.time
    return list(speakers.values())


def verdict(speaker: Speaker, words: int) -> str:
    """What the text of one person, in a chat of `words` words, is enough for."""
    if speaker.words < SOME_WORDS:
        return "too little to imitate"
    if not speaker.is_enough:
        return "a first taste: some favourite words, no style"
    if words < LANGUAGE_WORDS:
        return "enough for their style on a pretrained base; too little to learn a language from"
    return "enough for their style, and the chat is enough to learn its language from"


def format_confidence(chat: ChatReport) -> str:
    """How likely the format of a chat was understood, in words, with what speaks against it."""
    doubts = [
        f"day and month were a guess ({chat.date_order}); date_order in section [parse] settles it"
        if chat.date_order_guessed
        else "",
        f"{1 - chat.share:.0%} of the lines that look like headers have another form"
        if chat.share < 0.995
        else "",
        f"{chat.unreadable_headers:,} headers have a date that does not exist"
        if chat.unreadable_headers
        else "",
    ]
    listed = "; ".join(filter(None, doubts))
    return f"format confidence {chat.confidence:.0%}" + (f": {listed}" if listed else "")


def skipped(findings: Findings) -> list[tuple[int, str]]:
    """How much is not speech, and why, most first."""
    rows = [(findings.kinds.get(kind, 0), why) for kind, why in SKIPPED.items()]
    chats = findings.report.chats
    rows += [
        (findings.repeats, "messages that another export repeats"),
        (sum(chat.skipped_lines for chat in chats), "lines before the first message"),
        (sum(chat.pasted_headers for chat in chats), "pasted headers, kept as text"),
        (len(findings.report.ignored), "files without a chat"),
    ]
    return sorted(((count, why) for count, why in rows if count), reverse=True)


def to_dict(findings: Findings) -> dict[str, object]:
    """The findings as JSON types, every speaker included."""
    return {
        "confidence": round(findings.confidence, 4),
        "words": findings.words,
        "kinds": findings.kinds,
        "speakers": [
            {
                **asdict(speaker),
                "first": str(speaker.first),
                "last": str(speaker.last),
                "enough": speaker.is_enough,
                "verdict": verdict(speaker, findings.words),
            }
            for speaker in findings.speakers
        ],
        "skipped": [{"count": count, "why": why} for count, why in skipped(findings)],
        "likely_pairs": [list(pair) for pair in findings.pairs],
        "chats": [_chat_dict(chat) for chat in findings.report.chats],
        "ignored": list(findings.report.ignored),
    }


def _chat_dict(chat: ChatReport) -> dict[str, object]:
    row = asdict(chat)
    days = {"first_day": str(chat.first_day), "last_day": str(chat.last_day)}
    return (
        row | days | {"confidence": round(chat.confidence, 4), "certainty": format_confidence(chat)}
    )
