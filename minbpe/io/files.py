"""Reading and writing whole files, with the errors that a user sees."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from minbpe.base import TokenizerError


def read_text(path: Path) -> str:
    """A file's UTF-8 text, its line ends as they are.

    Raises:
        TokenizerError: the file cannot be read or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise TokenizerError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TokenizerError(f"{path}: damaged, not UTF-8 text: get the file again") from None


def parse_json(text: str, path: Path) -> Any:
    """The JSON document of a file's text.

    Raises:
        TokenizerError: the text is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise TokenizerError(f"{path}: damaged, not JSON: save the tokenizer again") from None


def dump_json(document: Any) -> str:
    """A JSON document as the files here hold it: readable, characters as they are."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def write(path: Path, text: str) -> None:
    """All or nothing: a reader finds the old file or the new one, never half of one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
