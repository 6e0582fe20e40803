"""The two files of karpathy's minbpe: `.model` for programs, `.vocab` for people.

A `.model` holds lines of text: `minbpe v1`; the regular expression that splits text, empty where
text stays whole; how many special tokens there are; each with its id; then the merges, two ids a
line, the first of which makes 256. Format: https://github.com/karpathy/minbpe, base.py.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

from minbpe.base import Pair, Tokenizer, TokenizerError
from minbpe.basic import BasicTokenizer
from minbpe.io.files import read_text, write
from minbpe.io.numbered import numbered
from minbpe.regex import PATTERNS, RegexTokenizer

VERSION = "minbpe v1"


def from_reference(path: str | Path) -> Tokenizer:
    """The tokenizer of a `.model` file, with its ids.

    Special tokens whose ids do not follow the last merge keep them, in a `PretrainedTokenizer`.

    Raises:
        TokenizerError: the file is damaged, or splits text by a pattern that is not in `PATTERNS`.
    """
    path = Path(path)
    lines = _Lines(read_text(path))
    try:
        if lines.take() != VERSION:
            raise TokenizerError(f"begins with something else than {VERSION!r}: give the .model")
        pattern = _name(lines.take())
        special: dict[str, int] = {}
        for _ in range(int(lines.take())):
            name, special_id = lines.take().rsplit(" ", 1)
            if name in special:
                raise ValueError
            special[name] = int(special_id)
        pairs: list[Pair] = []
        while not lines.at_end():
            left, right = lines.take().split()
            pairs.append((int(left), int(right)))
        plain = BasicTokenizer(pairs)
        return numbered(plain.vocab, plain.merges, pattern, special)
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from None
    except (ValueError, IndexError):
        raise TokenizerError(f"{path}: damaged at line {lines.taken}: save it again") from None


def to_reference(tokenizer: Tokenizer, path: str | Path) -> None:
    """Write `path`, a `.model`, and the `.vocab` beside it.

    Raises:
        TokenizerError: the path does not end in `.model`; the tokenizer is not one of minbpe's; a
            special token's name has white space in it, which ends it in that file.
    """
    path = Path(path)
    if path.suffix != ".model":
        raise TokenizerError(f"{path}: the reference opens files that end in .model: name it so")
    if not isinstance(tokenizer, BasicTokenizer | RegexTokenizer):
        raise TokenizerError("a .model numbers the bytes first, which this tokenizer does not")
    if wrong := [name for name in tokenizer.special if name.split() != [name]]:
        raise TokenizerError(
            f"special token {wrong[0]!r} has white space, which a .model cannot hold"
        )
    expression = PATTERNS[tokenizer.pattern] if tokenizer.pattern else ""
    head = [VERSION, expression, str(len(tokenizer.special))]
    special = [f"{name} {token_id}" for name, token_id in tokenizer.special.items()]
    merges = [f"{left} {right}" for left, right in tokenizer.merges]
    write(path, "\n".join([*head, *special, *merges]) + "\n")
    write(path.with_suffix(".vocab"), "\n".join(_rows(tokenizer)) + "\n")


class _Lines:
    """Lines taken one after the other; knows how many were."""

    def __init__(self, text: str) -> None:
        self._lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
        self.taken = 0

    def take(self) -> str:
        self.taken += 1
        return self._lines[self.taken - 1]

    def at_end(self) -> bool:
        return self.taken >= len(self._lines)


def _name(expression: str) -> str | None:
    """The name of a pattern; None where text stays whole."""
    if not expression:
        return None
    known = {written: name for name, written in PATTERNS.items()}
    if expression not in known:
        raise TokenizerError(
            "splits text by a pattern of its own; train the tokenizer again with one of "
            f"{', '.join(PATTERNS)}"
        )
    return known[expression]


def _rows(tokenizer: Tokenizer) -> Iterator[str]:
    """One line a token: what it was made of, and its id."""
    show = {token_id: _readable(token) for token_id, token in tokenizer.vocab.items()}
    parents = {new_id: pair for pair, new_id in tokenizer.merges.items()}
    for token_id, shown in show.items():
        made = "".join(f"[{show[part]}]" for part in parents.get(token_id, ()))
        yield f"{made} -> [{shown}] {token_id}" if made else f"[{shown}] {token_id}"
    for name, token_id in tokenizer.special.items():
        yield f"[{_readable(name.encode())}] {token_id}"


def _readable(token: bytes) -> str:
    """With control characters escaped, as the reference shows them."""
    return "".join(
        f"\\u{ord(c):04x}" if unicodedata.category(c).startswith("C") else c
        for c in token.decode("utf-8", errors="replace")
    )
