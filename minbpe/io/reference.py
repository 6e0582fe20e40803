"""The two files of karpathy's minbpe: `.model` for programs, `.vocab` for people.

A `.model` consists of lines: `minbpe v1`; the regular expression that splits text, empty if text is
not split; the number of special tokens; each of them with its id; then the merges, two ids per
line, the first of which makes 256. Format: https://github.com/karpathy/minbpe, base.py.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

from minbpe.base import Pair, Tokenizer, TokenizerError
from minbpe.basic import BasicTokenizer
from minbpe.io.explicit_ids import tokenizer_with_ids
from minbpe.io.text_file import read_text, write_text
from minbpe.regex import PATTERNS, RegexTokenizer

VERSION = "minbpe v1"


def from_reference(path: str | Path) -> Tokenizer:
    """The tokenizer of a `.model` file, with its ids.

    If the ids of special tokens do not follow the last merge, it is a `PretrainedTokenizer`.

    Raises:
        TokenizerError: the file is damaged, or splits text by a pattern that is not in `PATTERNS`.
    """
    path = Path(path)
    lines = _Lines(read_text(path))
    try:
        if lines.next() != VERSION:
            raise TokenizerError(f"does not begin with {VERSION!r}: give the .model")
        pattern = _pattern_name(lines.next())
        special: dict[str, int] = {}
        for _ in range(int(lines.next())):
            name, special_id = lines.next().rsplit(" ", 1)
            if name in special:
                raise ValueError
            special[name] = int(special_id)
        pairs: list[Pair] = []
        while lines.left():
            left, right = lines.next().split()
            pairs.append((int(left), int(right)))
        plain = BasicTokenizer(pairs)
        return tokenizer_with_ids(plain.vocab, plain.merges, pattern, special)
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from None
    except (ValueError, IndexError):
        raise TokenizerError(f"{path}: damaged at line {lines.number}: save it again") from None


def to_reference(tokenizer: Tokenizer, path: str | Path) -> None:
    """Write `path`, a `.model`, and the `.vocab` beside it.

    Raises:
        TokenizerError: the path does not end in `.model`; the tokenizer is not one of minbpe's; a
            special token's name contains white space, which would end it in that file.
    """
    path = Path(path)
    if path.suffix != ".model":
        raise TokenizerError(f"{path}: the reference opens only files that end in .model")
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
    write_text(path, "\n".join([*head, *special, *merges]) + "\n")
    write_text(path.with_suffix(".vocab"), "\n".join(_rows(tokenizer)) + "\n")


class _Lines:
    """Reads lines one by one; `number` is that of the last one read."""

    def __init__(self, text: str) -> None:
        self._lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
        self.number = 0

    def next(self) -> str:
        self.number += 1
        return self._lines[self.number - 1]

    def left(self) -> bool:
        return self.number < len(self._lines)


def _pattern_name(expression: str) -> str | None:
    """The name of a pattern; None if text is not split."""
    if not expression:
        return None
    names = {pattern: name for name, pattern in PATTERNS.items()}
    if expression not in names:
        raise TokenizerError(
            "splits text by a pattern of its own; train the tokenizer again with one of "
            f"{', '.join(PATTERNS)}"
        )
    return names[expression]


def _rows(tokenizer: Tokenizer) -> Iterator[str]:
    """One line per token: what it was made of, and its id."""
    readable = {token_id: _readable(token) for token_id, token in tokenizer.vocab.items()}
    parents = {new_id: pair for pair, new_id in tokenizer.merges.items()}
    for token_id, token in readable.items():
        made_of = "".join(f"[{readable[part]}]" for part in parents.get(token_id, ()))
        yield f"{made_of} -> [{token}] {token_id}" if made_of else f"[{token}] {token_id}"
    for name, token_id in tokenizer.special.items():
        yield f"[{_readable(name.encode())}] {token_id}"


def _readable(token: bytes) -> str:
    """With control characters escaped, as the reference does."""
    return "".join(
        f"\\u{ord(c):04x}" if unicodedata.category(c).startswith("C") else c
        for c in token.decode("utf-8", errors="replace")
    )
