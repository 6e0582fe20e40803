"""Words and emoji of a text in any script.

`words` splits a text, to compare what people write; `count_words` only counts, faster, to estimate
how much text there is. The counts differ in scripts without spaces between words, and in scripts
with combining vowels such as Devanagari, where `count_words` counts the parts of a word.
"""

from __future__ import annotations

import re

import regex  # type: ignore[import-untyped, unused-ignore]

_UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Javanese}"
)
_PART = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+"
_WORD = regex.compile(rf"[{_UNSPACED}]|{_PART}(?:['’\-]{_PART})*", regex.VERSION1)
_CHARACTER = regex.compile(rf"[{_UNSPACED}]", regex.VERSION1)

# For `count_words` alone.
_COUNTED = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_WIDE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_WIDE_PER_WORD = 2  # characters of scripts without spaces count as one word
_PICTURE = "[\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a\u231b\u23e9-\u23fa\u3030]"
_TONE = "[\ufe0f\U0001f3fb-\U0001f3ff]*"
EMOJI = re.compile(
    rf"[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*]\ufe0f?\u20e3|{_PICTURE}{_TONE}(?:\u200d{_PICTURE}{_TONE})*"
)


def words(text: str) -> list[str]:
    """The words in order, case-folded, without punctuation and emoji; ’ becomes '.

    In a script without spaces between words, each character is a word.
    """
    return [word.casefold().replace("’", "'") for word in _WORD.findall(text)]


def is_unspaced(tokens: list[str]) -> bool:
    """Whether most of the words are single characters of a script without spaces."""
    return 2 * sum(_CHARACTER.fullmatch(token) is not None for token in tokens) > len(tokens)


def count_words(text: str) -> int:
    """The approximate number of words; in scripts without spaces, two characters count as one."""
    wide = len(_WIDE.findall(text))
    rest = _WIDE.sub(" ", text) if wide else text
    return len(_COUNTED.findall(rest)) + (wide + _WIDE_PER_WORD - 1) // _WIDE_PER_WORD
