"""What everything is trained on: Python's own manual, a text file, or an encoded workspace.

Ids are stored in the laboratory's folder, so that each run maps them instead of encoding again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import minbpe
from pipeline.common.errors import DataError, one_line
from pipeline.common.files import read_json, sha256, write_json
from pipeline.training.memmap import ArrayFile, writing
from pipeline.workspace.stages import ENCODED, TOKENIZER

VOCABULARY = 1024  # bytes and merges, of a text that is encoded here
HELD_OUT = 10  # the last of this many parts of a text is for validation
MIN_TOKENS = (5_000, 500)  # for training, and for validation
MANUAL = "Python's manual (pydoc_data.topics)"


@dataclass(frozen=True)
class TrainingText:
    """Ids in two files. `key` stands for all of it: files with the same key have the same ids."""

    name: str
    key: str
    train: Path
    val: Path
    vocabulary: int
    tokens: tuple[int, int]  # for training, and for validation


def load_text(source: Path | None, folder: Path) -> TrainingText:
    """The text given with `--text`, encoded below `folder` where it is not yet.

    Raises DataError where it cannot be read or is too short.
    """
    if source is None:
        text = _encoded(MANUAL, manual(), folder)
    elif source.is_dir():
        text = _workspace(source)
    else:
        text = _encoded(source.name, _read(source), folder)
    if any(have < least for have, least in zip(text.tokens, MIN_TOKENS, strict=True)):
        raise DataError(
            f"{text.name} has {text.tokens[0]:,} tokens for training and {text.tokens[1]:,} for "
            f"validation; at least {MIN_TOKENS[0]:,} and {MIN_TOKENS[1]:,} are needed: give a "
            "longer text."
        )
    return text


def manual() -> str:
    """The prose that every CPython comes with, about 0.46 MB; it changes with the version."""
    try:
        from pydoc_data import topics
    except ImportError:
        raise DataError(
            "This Python comes without its manual (pydoc_data); give a text with --text FILE."
        ) from None
    return "\n\n".join(topics.topics[name] for name in sorted(topics.topics))


def _read(path: Path) -> str:
    if not path.exists():
        raise DataError(f"There is no {path}; check the path given to --text.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8 and run again.") from None


def _encoded(name: str, text: str, folder: Path) -> TrainingText:
    """Split the text, train a vocabulary on the training part, and encode; once per text."""
    parts = split(text)
    digest = hashlib.sha256(f"{VOCABULARY} {HELD_OUT} {text}".encode()).hexdigest()[:16]
    place = folder / "text" / digest
    train, val, facts = place / "train.bin", place / "val.bin", place / "text.json"
    if not facts.exists():
        tokenizer = minbpe.RegexTokenizer.train(parts[0], VOCABULARY)
        tokens = []
        for path, part in zip((train, val), parts, strict=True):
            ids = tokenizer.encode(part)
            with writing(path, "uint16") as file:
                file.append(ids)
                file.info["bytes"] = len(part.encode())
            tokens.append(len(ids))
        write_json(facts, {"vocabulary": tokenizer.size, "tokens": tokens})
    known = read_json(facts)
    return TrainingText(name, digest, train, val, known["vocabulary"], tuple(known["tokens"]))


def split(text: str) -> tuple[str, str]:
    """The training part, and the validation part, which starts with a line if there are lines."""
    end = len(text) - len(text) // HELD_OUT
    cut = text.rfind("\n", 0, end) + 1 or end
    return text[:cut], text[cut:]


def _workspace(path: Path) -> TrainingText:
    """The ids and the vocabulary of stages 3 and 4, as they are."""
    train, val = (path / name for name in ENCODED[:2])
    if not (train.exists() and val.exists() and (path / TOKENIZER).exists()):
        raise DataError(
            f"{path} is no encoded workspace: give a text file, or a workspace after "
            f"`python -m pipeline 1-4 --workspace {path}`."
        )
    with one_line():
        size = minbpe.load(path / TOKENIZER).size
    key = hashlib.sha256(f"{size} {sha256(train)} {sha256(val)}".encode()).hexdigest()[:16]
    with ArrayFile(train) as train_ids, ArrayFile(val) as val_ids:
        tokens = len(train_ids), len(val_ids)
    return TrainingText(path.name, key, train, val, size, tokens)
