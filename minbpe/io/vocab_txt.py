"""`vocab.txt`: every token of a tokenizer, readable by people."""

from __future__ import annotations

from pathlib import Path

from minbpe.base import Tokenizer
from minbpe.io.files import write

_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\"}


def save_vocab(tokenizer: Tokenizer, path: str | Path) -> None:
    """Write `vocab.txt`, one token a line: id, token in quotes, and the two it was made of.

    Control and other invisible characters are escaped as in Python. `\\xNN` is always a byte that
    is no character by itself: part of one that the token does not hold whole.
    """
    show = {token_id: readable(token) for token_id, token in tokenizer.vocab.items()}
    parents = {
        new_id: f"{left} {show[left]} + {right} {show[right]}"
        for (left, right), new_id in tokenizer.merges.items()
    }
    origins = {
        token_id: parents.get(token_id, "byte" if len(token) == 1 else "token")
        for token_id, token in tokenizer.vocab.items()
    }
    lines = {i: f"{i}\t{shown}\t{origins[i]}" for i, shown in show.items()}
    lines |= {
        i: f"{i}\t{readable(name.encode())}\tspecial" for name, i in tokenizer.special.items()
    }
    write(Path(path), "\n".join(lines[i] for i in sorted(lines)) + "\n")


def readable(token: bytes) -> str:
    """In double quotes; bytes that are no character ride through decoding as lone surrogates."""
    return '"' + "".join(map(_visible, token.decode("utf-8", errors="surrogateescape"))) + '"'


def _visible(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
