"""What a lesson consists of: words, tables and a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Request:
    """What the command line says besides the topic."""

    texts: tuple[str, ...] = ()
    workspace: Path | None = None


@dataclass(frozen=True)
class Table:
    """Rows of words, aligned left, and numbers, aligned right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1  # how many of the first columns are words

    @classmethod
    def of(cls, title: str, columns: str, rows: Iterable[Iterable[object]], left: int = 1) -> Table:
        """From column names separated by `|`, and rows of any values."""
        names = tuple(name.strip() for name in columns.split("|"))
        return cls(title, names, tuple(tuple(map(str, row)) for row in rows), left)


@dataclass(frozen=True)
class Lesson:
    """One topic. `draw` fills an empty figure of `size` inches."""

    title: str
    parts: tuple[str | Table, ...]
    draw: Callable[[Figure], None]
    size: tuple[float, float]
    sources: tuple[str, ...]
