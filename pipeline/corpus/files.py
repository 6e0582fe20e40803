"""The files of a corpus, and the part of the data that each was given for by its name.

A split is honoured when names tell it as data sets are wont to, and something is left to train on:

    test.txt, test-00000-of-00003.parquet     the word itself, with the number of a shard
    wiki.test.jsonl, wiki-test.txt            behind a name, beside wiki.train.jsonl or wiki.txt
    test/…                                    a folder, the nearest one that tells

So `latest.txt`, `test-of-time.txt` and an `acid-test.txt` with no sibling are ordinary texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.common.errors import DataError
from pipeline.corpus.readers import READERS

Part = Literal["train", "val", "test"]

WORDS: dict[str, Part] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
NAME = re.compile(
    rf"(?:(?P<before>.+)[-._ ])?(?P<word>{'|'.join(WORDS)})"
    r"(?:[-._ ]?\d+(?:[-._ ]of[-._ ]\d+)?(?:-[0-9a-f]{16})?)?"  # the number of a shard, a hash
)


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
    """The files behind paths, each once, in order: a file itself, or all of a folder."""
    ways: dict[Path, Path] = {}
    for path in paths:
        for file, way in _below(path):
            ways.setdefault(file, way)
    if not any(path.stat().st_size for path in ways):
        named = ", ".join(str(p) for p in paths)
        kinds = ", ".join(READERS)
        raise DataError(f"The corpus {named} holds no text; give files that have some ({kinds}).")
    parts = parts_of(list(ways.values()))
    return [File(path, part) for path, part in zip(ways, parts, strict=True)]


def _below(path: Path) -> list[tuple[Path, Path]]:
    """The files of a path, each with the way to it from there: `train/a.txt`, or just `a.txt`."""
    if not path.exists():
        raise DataError(f"There is no {path}; check the path of --corpus.")
    path = path.absolute()  # not resolved: the Hub's cache is links to files without a suffix
    if not path.is_dir():
        return [(path, Path(path.name))]
    inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in READERS and p.is_file())
    return [(p, p.relative_to(path.parent)) for p in inside]


def parts_of(ways: Sequence[Path]) -> list[Part | None]:
    """The part that each way to a file tells; all None when that leaves nothing to train on."""
    series = {_series(way) for way in ways}
    found = [_part(way, series) for way in ways]
    return found if {None, "train"} & set(found) else [None] * len(found)


def _part(way: Path, series: set[tuple[Path, str]]) -> Part | None:
    if told := NAME.fullmatch(way.stem.lower()):
        before = told["before"]
        if before is None or (way.parent, before) in series:
            return WORDS[told["word"]]
    folders = [name.lower() for name in reversed(way.parent.parts)]
    return next((WORDS[name] for name in folders if name in WORDS), None)


def _series(way: Path) -> tuple[Path, str]:
    """What a file's `…test` would be the test part of: its folder, and its name without `train`."""
    told = NAME.fullmatch(way.stem.lower())
    train = told and told["before"] and WORDS[told["word"]] == "train"
    return way.parent, told["before"] if told and train else way.stem.lower()
