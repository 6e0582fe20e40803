"""Stage 1: read the exports into one list of messages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pipeline.common.errors import ExportError
from pipeline.common.files import write_jsonl
from pipeline.exports.aliases import advice, likely_pairs
from pipeline.exports.merge import Renames
from pipeline.exports.message import Message
from pipeline.exports.read_export import ExportReport
from pipeline.stages.runner import Task
from pipeline.workspace.record import Counts
from pipeline.workspace.stages import MESSAGES


def run(task: Task) -> Counts:
    """Write `messages.jsonl`; overlapping exports of one chat are joined, repeats kept once."""
    for name in task.settings.source.export:
        if not Path(name).exists():
            raise ExportError(f"There is no {name}; check the path of --export.")
    exports = task.workspace.exports.read()
    messages = exports.messages
    for report in exports.reports:
        _tell(task, report)
    _tell_pairs(task, messages, exports.renamed)
    write_jsonl(task.path(MESSAGES), (m.to_dict() for m in messages))
    kinds = Counter(m.kind for m in messages)
    return {
        "messages": len(messages),
        "speakers": len({m.sender for m in messages if m.sender is not None}),
        "chats": len({m.conversation for m in messages}),
        "notices": kinds["notice"],
        "media": kinds["media"],
    }


def _tell(task: Task, report: ExportReport) -> None:
    """Say what was understood of an export, and what was a guess."""
    for chat in report.chats:
        count = sum(chat.kinds.values())
        form = f"{chat.platform}, {chat.header.strip()}" if chat.header else chat.platform
        task.screen.note(f"{count:,} messages, {form}, {chat.first_day} to {chat.last_day}")
        if chat.date_order_guessed:
            task.screen.warn(
                f"the dates can be read two ways; {chat.date_order} was assumed. "
                "`--set parse.date_order=…` (day-first or month-first) decides it."
            )
        if chat.unknown:
            task.screen.warn(
                f"{chat.unknown:,} lines look like the app's words but are in no table; they are"
                " not learned as speech. `python -m pipeline inspect FILE` shows some."
            )
        if chat.unreadable_headers:
            task.screen.warn(
                f"{chat.unreadable_headers:,} headers have a date that does not exist; they were"
                " kept as text of the message before"
            )
        if chat.skipped_lines:
            task.screen.warn(f"{chat.skipped_lines} lines before the first message were skipped")
    for name in report.ignored:
        task.screen.warn(f"{name} was left out: no chat, or one that was sent in a chat")


def _tell_pairs(task: Task, messages: list[Message], renamed: Renames) -> None:
    """Say who may be one person under two names."""
    counts = Counter(m.sender for m in messages if m.sender is not None)
    pairs = dict.fromkeys([*likely_pairs(counts), *((new, old) for old, new in renamed)])
    if pairs:
        task.screen.warn(f"one person? If so, {advice(pairs)}")
