"""Which part of a corpus a file is, as far as its name tells.

A name tells it in one of three ways, and the one nearest to the text counts:

    test.txt, test-00000-of-00003.parquet        the word itself, with the number of a shard
    wiki.test.jsonl, wiki-test.txt               behind a name, beside wiki.train.jsonl or wiki.txt
    test/…                                       a folder

So `latest.txt`, `test-of-time.txt` and an `acid-test.txt` with no sibling are ordinary texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.corpus.piece import Part

WORDS: dict[str, Part] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
NAME = re.compile(
    rf"(?:(?P<before>.+)[-._ ])?(?P<word>{'|'.join(WORDS)})"
    r"(?:[-._ ]?\d+(?:[-._ ]of[-._ ]\d+)?(?:-[0-9a-f]{16})?)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class File:
    """A file, and the way to it from what was given: `train/a.txt` of a folder, or `a.txt`."""

    path: Path
    way: Path


def split(files: Sequence[File]) -> list[Part]:
    """The part of each file; all `train` when names leave nothing to train on."""
    siblings = {_series(file) for file in files}
    found = [_part(file, siblings) for file in files]
    return found if "train" in found else ["train"] * len(files)


def _part(file: File, siblings: set[tuple[Path, str, Part]]) -> Part:
    if told := NAME.fullmatch(file.way.stem):
        part = WORDS[told["word"].lower()]
        alone = told["before"] is None
        if alone or (file.way.parent, told["before"].lower(), "train") in siblings:
            return part
    folders = [name.lower() for name in reversed(file.way.parent.parts)]
    return next((WORDS[name] for name in folders if name in WORDS), "train")


def _series(file: File) -> tuple[Path, str, Part]:
    """Folder, name without the word, part: what a file would be the sibling of another by."""
    told = NAME.fullmatch(file.way.stem)
    if told is None or told["before"] is None:
        return file.way.parent, file.way.stem.lower(), "train"
    return file.way.parent, told["before"].lower(), WORDS[told["word"].lower()]
