"""The files of a corpus, and the split that the name of each file states.

Names state a split in the ways that are usual for data sets, as long as something is left to train
on:

    test.txt, test-00000-of-00003.parquet     the word itself, with the number of a shard
    wiki.test.jsonl, wiki-test.txt            after a name, beside wiki.train.jsonl or wiki.txt
    test/…                                    a folder; the nearest one counts

So `latest.txt`, `test-of-time.txt` and an `acid-test.txt` with no sibling are ordinary texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.errors import DataError
from pipeline.common.split_names import Split
from pipeline.corpus.readers import READERS

WORDS: dict[str, Split] = {
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
    """A corpus as the user names it: paths, and the column that holds the text of rows."""

    paths: tuple[Path, ...]
    column: str = ""


@dataclass(frozen=True)
class CorpusFile:
    """A file, and the split its name states; None when it states none."""

    path: Path
    split: Split | None


def list_files(paths: Sequence[Path]) -> list[CorpusFile]:
    """The files at `paths`, each once, in order: a file itself, or every file in a folder.

    Raises DataError when a path does not exist, or when no file has any content.
    """
    names: dict[Path, Path] = {}
    for path in paths:
        for file, name in _files_at(path):
            names.setdefault(file, name)
    if not any(path.stat().st_size for path in names):
        named = ", ".join(str(p) for p in paths)
        kinds = ", ".join(READERS)
        raise DataError(f"The corpus {named} holds no text; give files that have some ({kinds}).")
    splits = stated_splits(list(names.values()))
    return [CorpusFile(path, split) for path, split in zip(names, splits, strict=True)]


def _files_at(path: Path) -> list[tuple[Path, Path]]:
    """The files at a path, each with its relative name: `train/a.txt`, or just `a.txt`."""
    if not path.exists():
        raise DataError(f"There is no {path}; check the path of --corpus.")
    path = path.absolute()  # not resolved: the Hub's cache has links to files without a suffix
    if not path.is_dir():
        return [(path, Path(path.name))]
    inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in READERS and p.is_file())
    return [(p, p.relative_to(path.parent)) for p in inside]


def stated_splits(names: Sequence[Path]) -> list[Split | None]:
    """The split that each relative name states; all None if that leaves nothing to train on."""
    siblings = {_series(name) for name in names}
    splits = [_stated_split(name, siblings) for name in names]
    return splits if {None, "train"} & set(splits) else [None] * len(splits)


def _stated_split(name: Path, siblings: set[tuple[Path, str]]) -> Split | None:
    if match := NAME.fullmatch(name.stem.lower()):
        before = match["before"]
        if before is None or (name.parent, before) in siblings:
            return WORDS[match["word"]]
    folders = [folder.lower() for folder in reversed(name.parent.parts)]
    return next((WORDS[folder] for folder in folders if folder in WORDS), None)


def _series(name: Path) -> tuple[Path, str]:
    """What `…test` would be the test split of: the folder, and the name without `train`."""
    match = NAME.fullmatch(name.stem.lower())
    is_train = match and match["before"] and WORDS[match["word"]] == "train"
    return name.parent, match["before"] if match and is_train else name.stem.lower()
