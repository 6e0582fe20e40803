"""`stage.json`: the record of a stage that is whole.

It says what went in, what came out and under which settings, and nothing personal: private settings
are hashes, files have no names but those the program gave them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from pipeline.common.files import read_json, write_json
from pipeline.workspace.settings import RENAMED
from pipeline.workspace.stamps import Stamp

Counts = dict[str, int | float]
Shown = bool | int | float | str | list[str] | list[int]  # a setting as a record shows it


class TrainingBudget(TypedDict):
    """How long a stage may train; it goes by epochs where they are not 0."""

    minutes: float
    epochs: float


@dataclass(frozen=True)
class Record:
    """What is recorded of a stage."""

    stage: str
    version: int
    settings: dict[str, Shown] = field(default_factory=dict)  # dotted name → value
    sources: dict[str, list[Stamp]] = field(default_factory=dict)  # setting → a stamp a path
    inputs: dict[str, Stamp] = field(default_factory=dict)  # file of the workspace → stamp
    parts: str = ""  # how file names share out a corpus, as a hash
    budget: TrainingBudget | None = None  # of a stage that trains
    seconds: float = 0.0
    counts: Counts = field(default_factory=dict)  # what came out, for people
    outputs: dict[str, Stamp] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """The record in a file; None when there is none, or it is damaged."""
        try:
            return cls._of(read_json(path))
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return None

    @classmethod
    def _of(cls, row: dict[str, Any]) -> Record:
        settings, sources = row.get("settings", {}), row.get("sources", {})
        return cls(
            stage=row["stage"],
            version=row["version"],
            settings={RENAMED.get(name, name): value for name, value in settings.items()},
            sources={name: [Stamp(**s) for s in stamps] for name, stamps in sources.items()},
            inputs=_stamps(row.get("inputs", {})),
            parts=row.get("parts", ""),
            budget=row.get("budget") or None,
            seconds=row.get("seconds", 0.0),
            counts=row.get("counts", {}),
            outputs=_stamps(row.get("outputs", {})),
        )

    def write(self, path: Path) -> None:
        """Write it: the stage is whole from this moment on."""
        row = asdict(self)
        write_json(path, {**row, "budget": row["budget"] or {}})


def _stamps(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Stamp]:
    return {name: Stamp(**row) for name, row in rows.items()}
