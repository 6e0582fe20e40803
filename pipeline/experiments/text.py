"""What everybody learns from: Python's own manual, a text file, or an encoded workspace.

Ids are kept in the laboratory's folder, so that each run maps them instead of encoding anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import minbpe
from pipeline.common.errors import DataError, one_line
from pipeline.common.files import read_json, sha256, write_json
from pipeline.training.memmap import ArrayFile, writing
from pipeline.workspace.stages import ENCODED, TOKENIZER

VOCABULARY = 1024  # bytes and merges, of a text that is encoded here
HELD_OUT = 10  # one of so many parts of a text, its last, is validation
LEAST = (5_000, 500)  # tokens to learn from, and to validate with
MANUAL = "Python's manual (pydoc_data.topics)"


@dataclass(frozen=True)
class Text:
    """Ids in two files, and how many different ones there are. `key` stands for all of it."""

    name: str
    key: str
    train: Path
    val: Path
    vocabulary: int
    tokens: tuple[int, int]  # to learn from, and to validate with


def find(named: Path | None, folder: Path) -> Text:
    """The text that `--text` means, encoded below `folder` where it is not yet."""
    if named is None:
        text = _checked(_encoded(MANUAL, manual(), folder))
    elif named.is_dir():
        text = _checked(_workspace(named))
    else:
        text = _checked(_encoded(named.name, _read(named), folder))
    return text


def manual() -> str:
    """The prose that every CPython carries, about 0.46 MB; its words change with the version."""
    try:
        from pydoc_data import topics
    except ImportError:
        raise DataError(
            "This Python comes without its manual (pydoc_data); name a text with --text FILE."
        ) from None
    return "\n\n".join(topics.topics[name] for name in sorted(topics.topics))


def _read(path: Path) -> str:
    if not path.exists():
        raise DataError(f"There is no {path}; check the path given to --text.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8 and run again.") from None


def _encoded(name: str, text: str, folder: Path) -> Text:
    """Cut, learn a vocabulary from what is trained on, encode; or find what was made before."""
    parts = _cut(text)
    digest = hashlib.sha256(f"{VOCABULARY} {HELD_OUT} {text}".encode()).hexdigest()[:16]
    place = folder / "text" / digest
    train, val, facts = place / "train.bin", place / "val.bin", place / "text.json"
    if not facts.exists():
        tokenizer = minbpe.RegexTokenizer.train(parts[0], VOCABULARY)
        tokens = [_write(p, tokenizer, part) for p, part in zip((train, val), parts, strict=True)]
        write_json(facts, {"vocabulary": tokenizer.size, "tokens": tokens})
    known = read_json(facts)
    return Text(name, digest, train, val, known["vocabulary"], tuple(known["tokens"]))


def _cut(text: str) -> tuple[str, str]:
    """What is learned from, and the last part, which begins with a line where there are lines."""
    end = len(text) - len(text) // HELD_OUT
    cut = text.rfind("\n", 0, end) + 1 or end
    return text[:cut], text[cut:]


def _write(path: Path, tokenizer: minbpe.RegexTokenizer, text: str) -> int:
    ids: Sequence[int] = tokenizer.encode(text)
    with writing(path, "uint16") as file:
        file.append(ids)
        file.info["bytes"] = len(text.encode())
    return len(ids)


def _workspace(path: Path) -> Text:
    """The ids and the vocabulary of stages 3 and 4, as they are."""
    train, val = (path / name for name in ENCODED[:2])
    if not (train.exists() and val.exists() and (path / TOKENIZER).exists()):
        raise DataError(
            f"{path} is no encoded workspace: name a text file, or a workspace after "
            f"`python -m pipeline 1-4 --workspace {path}`."
        )
    with one_line():
        size = minbpe.load(path / TOKENIZER).size
    key = hashlib.sha256(f"{size} {sha256(train)} {sha256(val)}".encode()).hexdigest()[:16]
    with ArrayFile(train) as learned, ArrayFile(val) as checked:
        tokens = len(learned), len(checked)
    return Text(path.name, key, train, val, size, tokens)


def _checked(text: Text) -> Text:
    if any(have < least for have, least in zip(text.tokens, LEAST, strict=True)):
        raise DataError(
            f"{text.name} has {text.tokens[0]:,} tokens to learn from and {text.tokens[1]:,} to "
            f"validate with; at least {LEAST[0]:,} and {LEAST[1]:,} are needed: name a longer text."
        )
    return text
