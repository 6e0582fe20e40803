"""Stamps: what a file or folder held, so that a change is noticed cheaply.

A stamp is a content hash, and beside it sizes and dates. While sizes and dates are the same, the
content is assumed to be; only otherwise is it read. A stamp holds no file names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.files import sha256

Suffixes = tuple[str, ...]


@dataclass(frozen=True)
class Stamp:
    """What a file or folder held; `stat` is size and date (ns) of each file."""

    sha256: str
    stat: list[list[int]]

    @classmethod
    def of(cls, path: Path, suffixes: Suffixes = ()) -> Stamp:
        """The stamp of a file or folder now; of a folder only files with one of the suffixes."""
        return cls(_content(path, suffixes), _stat(path, suffixes))

    def matches(self, path: Path, suffixes: Suffixes = ()) -> bool:
        """Whether a path still holds what it held."""
        return self.is_unmoved(path, suffixes) or _content(path, suffixes) == self.sha256

    def is_unmoved(self, path: Path, suffixes: Suffixes = ()) -> bool:
        """Whether sizes and dates are those of the stamp."""
        return _stat(path, suffixes) == self.stat


def files_of(path: Path, suffixes: Suffixes = ()) -> list[Path]:
    """A file itself, or the files below a folder, only those with a suffix when some are given."""
    if not path.is_dir():
        return [path]
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return [p for p in files if not suffixes or p.suffix.lower() in suffixes]


def _stat(path: Path, suffixes: Suffixes) -> list[list[int]]:
    stats = [p.stat() for p in files_of(path, suffixes)]
    return [[s.st_size, s.st_mtime_ns] for s in stats]


def _content(path: Path, suffixes: Suffixes) -> str:
    hashes = [sha256(p) for p in files_of(path, suffixes)]
    return hashlib.sha256("".join(hashes).encode()).hexdigest() if path.is_dir() else hashes[0]
