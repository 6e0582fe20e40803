"""`vocab.txt`: every token of a tokenizer, readable by people."""

from __future__ import annotations

from pathlib import Path

from minbpe.base import Tokenizer
from minbpe.io.text_file import write_text

_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\"}


def save_vocab(tokenizer: Tokenizer, path: str | Path) -> None:
    """Write `vocab.txt`, one token per line: id, token in quotes, and the two it was made of.

    Control and other invisible characters are escaped as in Python. `\\xNN` is always a byte that
    is not a character by itself: part of one that the token does not contain whole.
    """
    quoted = {token_id: readable(token) for token_id, token in tokenizer.vocab.items()}
    parents = {
        new_id: f"{left} {quoted[left]} + {right} {quoted[right]}"
        for (left, right), new_id in tokenizer.merges.items()
    }
    origins = {
        token_id: parents.get(token_id, "byte" if len(token) == 1 else "token")
        for token_id, token in tokenizer.vocab.items()
    }
    lines = {i: f"{i}\t{token}\t{origins[i]}" for i, token in quoted.items()}
    lines |= {
        i: f"{i}\t{readable(name.encode())}\tspecial" for name, i in tokenizer.special.items()
    }
    write_text(Path(path), "\n".join(lines[i] for i in sorted(lines)) + "\n")


def readable(token: bytes) -> str:
    """In double quotes; bytes that are not a character are decoded as lone surrogates, then \\x."""
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
