"""One screen about an export before anything is trained: who speaks, and whether it is enough.

`inspect` reads the export and counts; `show` puts the findings on a screen; `to_dict` gives them to
another program. Nothing is written, and no text of a message is shown except, up to three times,
a line that looks like the app's own words and is in no table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from pipeline.common.screen import Screen
from pipeline.common.words import EMOJI, count_words
from pipeline.exports.aliases import advice, likely_pairs
from pipeline.exports.chat import ChatReport, DateOrder
from pipeline.exports.merge import Renames, join_exports
from pipeline.exports.message import Kind, Message
from pipeline.exports.read_export import ExportReport, read_export

SHOWN = 12  # speakers on the screen
FEW = 3  # named in a verdict
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
    """All that `inspect` found."""

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


def inspect(
    paths: Sequence[Path], date_order: DateOrder = "auto", aliases: Sequence[str] = ()
) -> Findings:
    """Read exports, joined where they overlap, and count. Raises ExportError as `read_export`."""
    exports = [read_export(path, date_order, aliases) for path in paths]
    names: Renames = Counter()
    messages = join_exports((export.messages for export in exports), names)
    reports = [export.report for export in exports]
    chats = tuple(chat for report in reports for chat in report.chats)
    ignored = tuple(name for report in reports for name in report.ignored)
    speakers = count_speakers(messages)
    pairs = dict.fromkeys(likely_pairs({s.name: s.messages for s in speakers}))
    pairs |= dict.fromkeys((new, old) for old, new in names)
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
    """What the text of one person, in a chat of so many `words`, is enough for."""
    if speaker.words < SOME_WORDS:
        return "too little to imitate"
    if not speaker.is_enough:
        return "a first taste: some favourite words, no style"
    if words < LANGUAGE_WORDS:
        return "enough for their style on a pretrained base; too little to learn a language from"
    return "enough for their style, and the chat is enough to learn its language from"


def certainty(chat: ChatReport) -> str:
    """How sure the reader is of one chat, and of what it is not."""
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
    told = "; ".join(filter(None, doubts))
    return f"{chat.confidence:.0%} sure" + (f": {told}" if told else "")


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


def show(findings: Findings, screen: Screen) -> None:
    """One screen: the files, who speaks, what was skipped, how sure, and the verdict."""
    for chat in findings.report.chats:
        form = f", {chat.header.strip()}" if chat.header else ""
        days = f"{chat.first_day} to {chat.last_day}"
        screen.say(f"{chat.file}: {chat.platform}{form}, {days}; {certainty(chat)}")
    screen.console.print(_table(findings))
    if skipped(findings):
        told = ", ".join(f"{count:,} {why}" for count, why in skipped(findings))
        screen.say(f"Not speech: {told}.")
    _show_doubts(findings, screen)
    for line in verdicts(findings):
        screen.say(line)


def verdicts(findings: Findings) -> list[str]:
    """One sentence a verdict, with whom it is about; the last says who can be imitated."""
    told: dict[str, list[Speaker]] = {}
    for speaker in findings.speakers:
        told.setdefault(verdict(speaker, findings.words), []).append(speaker)
    enough = [speaker for speaker in findings.speakers if speaker.is_enough]
    who = _listed(enough, SHOWN) if enough else "nobody"
    last = f"Enough text to be imitated: {who} ({len(enough)} of {len(findings.speakers)})."
    return [*(f"{_listed(group, FEW)}: {words}." for words, group in told.items()), last]


def _listed(speakers: Sequence[Speaker], most: int) -> str:
    """Names; of a single one also how much it wrote."""
    if len(speakers) == 1 and most == FEW:
        (one,) = speakers
        return f"{one.name}: {one.messages:,} messages, {one.words:,} words"
    more = f" and {len(speakers) - most:,} more" if len(speakers) > most else ""
    return ", ".join(speaker.name for speaker in speakers[:most]) + more


def _table(findings: Findings) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("who", "messages", "words", "emoji", "bursts", "first", "last"):
        is_text = column in ("who", "first", "last")
        table.add_column(column, justify="left" if is_text else "right", overflow="fold")
    for speaker in findings.speakers[:SHOWN]:
        counts = (speaker.messages, speaker.words, speaker.emoji, speaker.bursts)
        days = (str(speaker.first), str(speaker.last))
        table.add_row(escape(speaker.name), *(f"{n:,}" for n in counts), *days)
    rest = findings.speakers[SHOWN:]
    if rest:
        messages, words = sum(s.messages for s in rest), sum(s.words for s in rest)
        table.add_row(f"{len(rest):,} more", f"{messages:,}", f"{words:,}")
    return table


def _show_doubts(findings: Findings, screen: Screen) -> None:
    unknown = sum(chat.unknown for chat in findings.report.chats)
    if unknown:
        examples = [text for chat in findings.report.chats for text in chat.examples][:3]
        shown = " | ".join(example.partition("\n")[0][:80] for example in examples)
        screen.say(f"Looks like the app's words, in no table, not learned: {unknown:,}: {shown}")
    if findings.pairs:
        screen.say(f"One person? If so, {advice(findings.pairs[:SHOWN])}.")


def to_dict(findings: Findings) -> dict[str, Any]:
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


def _chat_dict(chat: ChatReport) -> dict[str, Any]:
    row = asdict(chat)
    days = {"first_day": str(chat.first_day), "last_day": str(chat.last_day)}
    return row | days | {"confidence": round(chat.confidence, 4), "certainty": certainty(chat)}
