"""What a lesson is: words, tables and a picture, of which the screen and the PNG are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers. Numbers stand on the right, words on the left."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1  # the first so many columns are words

    @classmethod
    def of(cls, title: str, columns: str, rows: Iterable[Iterable[object]], left: int = 1) -> Table:
        """From names with `|` between them, and rows of anything that can be written."""
        names = tuple(name.strip() for name in columns.split("|"))
        return cls(title, names, tuple(tuple(map(str, row)) for row in rows), left)


@dataclass(frozen=True)
class Lesson:
    """One topic, told. `draw` fills an empty matplotlib figure of `size` inches."""

    title: str
    parts: tuple[str | Table, ...]
    draw: Callable[[Any], None]
    size: tuple[float, float]
    sources: tuple[str, ...] = ()
