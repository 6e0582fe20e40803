"""Stamps: what a file or folder held, so that a change can be told cheaply.

A stamp is a content hash, and beside it sizes and dates. While sizes and dates agree the content
is taken to agree; only otherwise is it read. No name of a file is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.common.files import sha256

Suffixes = tuple[str, ...]


def files_of(path: Path, suffixes: Suffixes = ()) -> list[Path]:
    """A file itself, or the files below a folder, only those with a suffix when some are given."""
    if not path.is_dir():
        return [path]
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return [p for p in files if not suffixes or p.suffix.lower() in suffixes]


def stamp(path: Path, suffixes: Suffixes = ()) -> dict[str, Any]:
    """The stamp of a file or folder."""
    return {"sha256": _content(path, suffixes), "stat": _stat(path, suffixes)}


def same(path: Path, known: Mapping[str, Any], suffixes: Suffixes = ()) -> bool:
    """Whether a path still is what its stamp says."""
    return unmoved(path, known, suffixes) or _content(path, suffixes) == known["sha256"]


def unmoved(path: Path, known: Mapping[str, Any], suffixes: Suffixes = ()) -> bool:
    """Whether sizes and dates are those of the stamp."""
    return bool(_stat(path, suffixes) == known["stat"])


def _stat(path: Path, suffixes: Suffixes) -> list[list[int]]:
    found = [p.stat() for p in files_of(path, suffixes)]
    return [[s.st_size, s.st_mtime_ns] for s in found]


def _content(path: Path, suffixes: Suffixes) -> str:
    hashes = [sha256(p) for p in files_of(path, suffixes)]
    return hashlib.sha256("".join(hashes).encode()).hexdigest() if path.is_dir() else hashes[0]
