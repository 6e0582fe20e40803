"""The files of a corpus, and the part of the data that each was given for by its name.

A split is honoured when names tell it as data sets are wont to (`test.txt`, `val/…`,
`test-00000-of-00001.parquet`) and something is left to train on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.corpus.readers import READERS
from pipeline.errors import DataError

Part = Literal["train", "val", "test"]

NAMES: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
SHARD = re.compile(r"[-_.]\d+([-_.]of[-_.]\d+)?$")  # of a data set in many files


@dataclass(frozen=True)
class Corpus:
    """What was given as a corpus: paths, and the column of text where rows have several."""

    paths: tuple[Path, ...]
    column: str = ""


@dataclass(frozen=True)
class File:
    """A file, and the part it was given for; None where its name says nothing."""

    path: Path
    part: Part | None


def files(paths: Sequence[Path]) -> list[File]:
    """The files behind paths, in order: a file itself, or all below a folder that can be read."""
    found = [file for path in paths for file in _below(path)]
    if not any(file.path.stat().st_size for file in found):
        named = ", ".join(str(p) for p in paths)
        kinds = ", ".join(READERS)
        raise DataError(f"The corpus {named} holds no text; give files that have some ({kinds}).")
    if not any(file.part in (None, "train") for file in found):
        return [File(file.path, None) for file in found]
    return found


def _below(path: Path) -> list[File]:
    if not path.exists():
        raise DataError(f"There is no {path}; check the path of --corpus.")
    if not path.is_dir():
        return [File(path, part_of(path.name))]
    inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in READERS and p.is_file())
    return [File(p, _by_place(p, path)) for p in inside]


def _by_place(path: Path, root: Path) -> Part | None:
    """By the file's own name, else by the nearest folder that tells."""
    inner = path.relative_to(root).parts
    told = [part_of(path.name), *(NAMES.get(name.lower()) for name in reversed(inner[:-1]))]
    return next((part for part in told if part), None)


def part_of(name: str) -> Part | None:
    """The part that a file's name tells: `test.txt`, `wiki.val.jsonl`, not `latest.txt`."""
    stem = SHARD.sub("", name.lower().rpartition(".")[0])
    words = re.split("[-_.]", stem)
    return NAMES.get(words[0]) or NAMES.get(words[-1])
