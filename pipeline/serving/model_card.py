"""What a model folder says of itself in chat.json, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.common.errors import WorkspaceError
from pipeline.common.files import read_json
from pipeline.dialogue.template import TEMPLATES
from pipeline.serving.habits import Habits
from pipeline.workspace.settings import Chat
from pipeline.workspace.settings_file import from_dict as checked_settings

CHAT = "chat.json"


@dataclass(frozen=True)
class Facts:
    """Who speaks in a model's chat, and how replies are drawn."""

    persona: str
    partners: dict[str, int]  # by how often they stood next to the persona
    voices: dict[str, int]  # who can be imitated, by training turns; the persona first
    learned: list[str]  # whose turns were the target
    habits: dict[str, Habits]
    last_message: date | None
    chat: Chat
    follows: Mapping[str, Mapping[str, int]]  # who answers whom; empty where the model says
    context: int = 0  # tokens that it learned to look back over; 0: not known


def read_facts(folder: Path) -> Facts:
    """The facts of a model folder; WorkspaceError when they cannot be used."""
    path = folder / CHAT
    if not path.exists():
        raise WorkspaceError(
            f"There is no model in {folder}; make one with "
            "`python -m pipeline run --export FILE --persona NAME`."
        )
    try:
        rows: Mapping[str, Any] = read_json(path)
        known = rows["version"] == 1 and rows["template"] in TEMPLATES
        facts = _facts(rows, str(path))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WorkspaceError(
            f"{path} is damaged; run `python -m pipeline finetune` again."
        ) from None
    if not known:
        raise WorkspaceError(
            f"{folder} was made by a newer version of this program; update the program."
        )
    return facts


def _facts(rows: Mapping[str, Any], where: str) -> Facts:
    persona: str = rows["persona"]
    last = rows.get("last_message")
    return Facts(
        persona,
        rows["partners"],
        rows.get("voices", {persona: 0}),  # a model of an earlier day has the persona's alone
        rows.get("learned", [persona]),
        {name: Habits.from_dict(row) for name, row in rows.get("habits", {}).items()},
        date.fromisoformat(last) if last else None,
        checked_settings({"chat": rows["sampling"]}, where).chat,
        rows.get("follows", {}),
        int(rows.get("context", 0)),
    )
