"""Ready-made dialogues from a JSON file, for those who have some beside or instead of a chat.

Either a list of dialogues, each a list of `{"role", "content"}` with the roles system, user and
assistant; or a list of records `{"instruction", "input", "output"}`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.common.errors import DataError
from pipeline.dialogue.turns import Turn

ROLES = ("system", "user", "assistant")
SHARES = {"train": 0.8, "val": 0.9, "test": 1.0}  # where each part ends


def read(path: Path, persona: str) -> dict[str, list[list[Turn]]]:
    """The dialogues by part: the last tenth is test, the tenth before it validation."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"There is no {path}; check dialogues.source.") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON in UTF-8 ({type(error).__name__}).") from None
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{path} must hold a list of dialogues; see docs/stage6-dialogues.md.")
    dialogues = [_dialogue(row, number, path, persona) for number, row in enumerate(rows, 1)]
    ends = {part: round(len(dialogues) * share) for part, share in SHARES.items()}
    return {
        "train": dialogues[: ends["train"]],
        "val": dialogues[ends["train"] : ends["val"]],
        "test": dialogues[ends["val"] :],
    }


def _dialogue(row: Any, number: int, path: Path, persona: str) -> list[Turn]:
    try:
        said = row if isinstance(row, list) else _record(row)
        pairs = [(turn["role"], turn["content"]) for turn in said]
        if not all(role in ROLES and isinstance(content, str) for role, content in pairs):
            raise ValueError
    except (TypeError, KeyError, ValueError):
        raise DataError(
            f"{path}: dialogue {number} is neither a list of role and content (roles "
            f"{', '.join(ROLES)}) nor a record of instruction, input and output."
        ) from None
    return [Turn(persona if role == "assistant" else role, (text,)) for role, text in pairs]


def _record(row: dict[str, str]) -> list[dict[str, str]]:
    asked = "\n".join(part for part in (row["instruction"], row.get("input", "")) if part)
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": row["output"]}]
