"""Ready-made dialogues from a JSON file, beside or instead of a chat.

The file is a list of dialogues, each a list of `{"role", "content"}` with the roles system, user
and assistant; or a list of records `{"instruction", "input", "output"}`.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.common.errors import DataError
from pipeline.dialogue.turns import Turn

ROLES = ("system", "user", "assistant")
TRAIN_END, VAL_END = 0.8, 0.9  # of the dialogues; the rest is test


def read_dialogues(path: Path, persona: str) -> dict[str, list[list[Turn]]]:
    """The dialogues by split, the assistant renamed to `persona`.

    The last tenth is test, the tenth before it validation. Raises DataError when the file is
    missing or has another form.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"There is no {path}; check dialogues.source.") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON in UTF-8 ({type(error).__name__}).") from None
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{path} must hold a list of dialogues; see docs/stage6-dialogues.md.")
    dialogues = []
    for number, row in enumerate(rows, 1):
        try:
            dialogues.append(_dialogue(row, persona))
        except (TypeError, KeyError, ValueError):
            raise DataError(
                f"{path}: dialogue {number} is neither a list of role and content (roles "
                f"{', '.join(ROLES)}) nor a record of instruction, input and output."
            ) from None
    train_end, val_end = (round(len(dialogues) * end) for end in (TRAIN_END, VAL_END))
    return {
        "train": dialogues[:train_end],
        "val": dialogues[train_end:val_end],
        "test": dialogues[val_end:],
    }


def _dialogue(row: list[dict[str, str]] | dict[str, str], persona: str) -> list[Turn]:
    """Raises TypeError, KeyError or ValueError for a row of another form."""
    if isinstance(row, list):
        said = [(turn["role"], turn["content"]) for turn in row]
    else:
        asked = "\n".join(part for part in (row["instruction"], row.get("input", "")) if part)
        said = [("user", asked), ("assistant", row["output"])]
    if not all(role in ROLES and isinstance(text, str) for role, text in said):
        raise ValueError
    return [Turn(persona if role == "assistant" else role, (text,)) for role, text in said]
