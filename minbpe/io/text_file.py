"""Read and write whole text files, with errors made for users."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from minbpe.base import TokenizerError


def read_text(path: Path) -> str:
    """A UTF-8 file's text, its line ends unchanged.

    Raises:
        TokenizerError: the file cannot be read or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise TokenizerError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TokenizerError(f"{path}: damaged, not UTF-8 text: get the file again") from None


def write_text(path: Path, text: str) -> None:
    """Write atomically: a reader sees the old file or the new one, never part of one."""
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
