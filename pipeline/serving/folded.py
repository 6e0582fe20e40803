"""A text as the words in it, so that spellings of one word meet whatever stands around them."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from pipeline.common.speakers import fold_characters

KEPT = "LNM"  # the first letters of Unicode's categories that words are made of
SYMBOL = "S"


@lru_cache(maxsize=1 << 14)
def _piece(char: str) -> str:
    """What a character adds to a word: folded letters, a space where it parts two, or nothing.

    A symbol, such as an emoji, is a word by itself.
    """
    found = ""
    for c in fold_characters(char).casefold():
        kind = unicodedata.category(c)[0]
        found += f" {c} " if kind == SYMBOL else c if kind in KEPT else " "
    return found


class Words:
    """The words of a text, folded, each after one space; a space at the end closes the last.

    `at[n]` says where in the text the n-th character of `text` comes from; at a space, where the
    word before it ended.
    """

    def __init__(self, text: str) -> None:
        folded, self.at = [" "], [0]
        for index, char in enumerate(text):
            for place, c in enumerate(_piece(char)):
                if c != " " or folded[-1] != " ":
                    folded.append(c)
                    self.at.append(index + (c == " " and place > 0))
        self.text = "".join(folded)


@lru_cache(maxsize=8)
def words_of(text: str) -> Words:
    """The words of a text; several rules ask for those of one text in a row."""
    return Words(text)


def folded(text: str) -> str:
    """The words of a text with one space between them; empty when it has none."""
    return words_of(text).text.strip()
