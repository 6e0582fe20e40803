"""Words in any script."""

from __future__ import annotations

import pytest

from pipeline.common.words import is_unspaced, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't go, co-op at 9!", ["don't", "go", "co-op", "at", "9"]),
        ("😂😂 ...", []),
        ("नमस्ते दोस्त", ["नमस्ते", "दोस्त"]),
        ("今日はok", ["今", "日", "は", "ok"]),
        ("ПРИВЕТ", ["привет"]),
    ],
)
def test_words_are_folded_and_whole_and_unspaced_scripts_come_by_character(text, expected):
    assert words(text) == expected


def test_which_scripts_put_no_spaces():
    assert is_unspaced(words("今日はいい天気ですね ok"))
    assert not is_unspaced(words("ok 今 fine then"))
    assert not is_unspaced([])
