"""A piece of text, which is what every reader of a corpus gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Part = Literal["train", "val", "test"]

SIZE = 1 << 20  # bytes read at a time, and the most in a shard of several pieces


@dataclass(frozen=True)
class Piece:
    """Some text, and whether a document (a file, or a row of one) ends with it."""

    text: str
    ends_document: bool
