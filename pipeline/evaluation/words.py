"""The words of a text in any script; the characters where a script puts no space between words."""

from __future__ import annotations

import regex  # type: ignore[import-untyped, unused-ignore]

_UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Javanese}"
)
_PART = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+"
_WORD = regex.compile(rf"[{_UNSPACED}]|{_PART}(?:['’\-]{_PART})*", regex.VERSION1)
_CHARACTER = regex.compile(rf"[{_UNSPACED}]", regex.VERSION1)


def words(text: str) -> list[str]:
    """Words in order, case folded, without punctuation and emoji; either apostrophe is the same."""
    return [word.casefold().replace("’", "'") for word in _WORD.findall(text)]


def is_unspaced(tokens: list[str]) -> bool:
    """Whether most of these words are single characters of a script without spaces."""
    return 2 * sum(_CHARACTER.fullmatch(token) is not None for token in tokens) > len(tokens)
