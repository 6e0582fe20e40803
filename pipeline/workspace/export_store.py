"""The exports of a workspace, read once, whoever asks: for the persona, or to parse them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.exports.message import Message
from pipeline.workspace.settings import Settings

if TYPE_CHECKING:
    from pipeline.exports.exported_chat import DateOrder
    from pipeline.exports.merge import Renames
    from pipeline.exports.read_export import ExportReport


@dataclass(frozen=True)
class Exports:
    """What is in some exports: overlapping ones are joined, repeated messages kept once."""

    messages: list[Message]
    reports: list[ExportReport]  # one an export
    renamed: Renames  # who has another name in another export


def read_exports(
    paths: Sequence[Path], date_order: DateOrder = "auto", aliases: Sequence[str] = ()
) -> Exports:
    """Read exports. Raises ExportError as `read_export` does."""
    # Late, since every verb opens a workspace, and the tables of all phones take a while to load.
    from pipeline.exports.merge import join_exports
    from pipeline.exports.read_export import read_export

    exports = [read_export(path, date_order, aliases) for path in paths]
    renamed: Renames = Counter()
    messages = join_exports((export.messages for export in exports), renamed)
    return Exports(messages, [export.report for export in exports], renamed)


class ExportStore:
    """Reads the exports that settings name when they are first asked for, and holds them until
    `release`: a chat of a million messages takes some hundred megabytes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._exports: Exports | None = None

    def read(self) -> Exports:
        """What is in the exports."""
        if self._exports is None:
            paths = [Path(path) for path in self._settings.source.export]
            parse = self._settings.parse
            self._exports = read_exports(paths, parse.date_order, parse.aliases)
        return self._exports

    def speakers(self) -> Counter[str]:
        """Who writes text in the exports, with how many messages."""
        sent = (m for m in self.read().messages if m.sender is not None and m.kind == "text")
        return Counter(m.sender for m in sent if m.sender is not None)

    def release(self) -> None:
        """Let go of what was read."""
        self._exports = None
