"""One person under several names."""

from __future__ import annotations

import re
import tomllib

import pytest

from pipeline.common.errors import SettingsError
from pipeline.exports.aliases import Aliases, advice, likely_pairs


def test_spellings_of_a_row_become_its_name() -> None:
    aliases = Aliases(["Zed = ~ Zedd", "Zed = +44 7700 900123", "Ann=Anna"])

    spellings = ["~ Zedd", "zedd", "+44 (7700) 900\u2011123", "ZED", "Anna", "Bob"]
    assert [aliases[s] for s in spellings] == ["Zed", "Zed", "Zed", "Zed", "Ann", "Bob"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["Zed"], "must be written as 'Name = another spelling'"),
        (["= Zed"], "must be written as"),
        (["Zed = Z", "Ann = z"], "gives 'z' to two people"),
    ],
)
def test_a_table_that_says_nothing_is_refused(rows: list[str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Aliases(rows)


def test_likely_pairs_are_those_spelt_alike_or_in_another_order() -> None:
    senders = {
        "Elon Musk": 9,
        "~ Zed": 2,
        "Zed": 5,
        "Musk Elon": 3,
        "Ann": 4,
        "Anna": 1,
        "+44 7700 900123": 2,
        "+447700900123": 1,
    }

    assert likely_pairs(senders) == [
        ("Elon Musk", "Musk Elon"),
        ("Zed", "~ Zed"),
        ("+44 7700 900123", "+447700900123"),
    ]


def test_the_advice_is_a_line_that_joins_them() -> None:
    pairs = [('Ann "A" Lee', "~ Ann"), ("Zoë", "zoe\\")]
    line = re.search(r"aliases = \[.*\]", advice(pairs))
    assert line is not None
    rows = tomllib.loads(line[0])["aliases"]
    aliases = Aliases(rows)
    assert [aliases[other] for _, other in pairs] == [one for one, _ in pairs]
