"""Stage 1: read the exports into one list of messages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.errors import ExportError
from pipeline.files import write_jsonl
from pipeline.runner import Task
from pipeline.stages import MESSAGES
from pipeline.whatsapp.export import Report, read_export
from pipeline.whatsapp.merge import join_exports


def run(task: Task) -> dict[str, Any]:
    """Write `messages.jsonl`; overlapping exports of one chat are joined, repeats kept once."""
    paths = [Path(p) for p in task.settings.source.export]
    for path in paths:
        if not path.exists():
            raise ExportError(f"There is no {path}; check the path of --export.")
    exports = [read_export(p, task.settings.parse.date_order) for p in paths]
    messages = join_exports(export.messages for export in exports)
    for export in exports:
        _tell(task, export.report)
    write_jsonl(task.path(MESSAGES), (m.to_dict() for m in messages))
    kinds = Counter(m.kind for m in messages)
    return {
        "messages": len(messages),
        "speakers": len({m.sender for m in messages if m.sender is not None}),
        "chats": len({m.conversation for m in messages}),
        "notices": kinds["notice"],
        "media": kinds["media"],
    }


def _tell(task: Task, report: Report) -> None:
    """What was understood of an export, and where the reader had to guess."""
    for chat in report.chats:
        count = sum(chat.kinds.values())
        task.screen.note(
            f"{count:,} messages, {chat.platform}, {chat.header.strip()}, "
            f"{chat.first_day} to {chat.last_day}"
        )
        if chat.date_order_guessed:
            task.screen.warn(
                f"the dates can be read two ways; taken as {chat.date_order}. "
                "`--set parse.date_order=…` (day-first or month-first) decides it."
            )
        if chat.skipped_lines:
            task.screen.warn(f"{chat.skipped_lines} lines before the first message were skipped")
