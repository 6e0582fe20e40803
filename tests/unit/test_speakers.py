"""Names as people type them."""

from __future__ import annotations

import pytest

from pipeline.common.errors import DataError
from pipeline.common.speakers import find_speaker, fold

SPEAKERS = {"~ José Núñez": 40, "Ann": 7, "Annika": 30, "+44 7700 900123": 2}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("JOSÉ", "jose\u0301"),
        ("~ Zed", "zed"),
        ("~\u202fZed", "Zed "),
        ("\u202a+44\u00a07700\u202c", "+44 7700"),
        ("Straße", "STRASSE"),
    ],
)
def test_spellings_that_meet(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_different_names_stay_different() -> None:
    assert len({fold(name) for name in ["Ann", "Anna", "安", "Zoë 1", "Zoe 2", "👩"]}) == 6


@pytest.mark.parametrize("typed", ["jose nunez", "~ José Núñez", "José  Núñez "])
def test_a_speaker_is_found(typed: str) -> None:
    assert find_speaker(typed, SPEAKERS) == "~ José Núñez"


def test_an_exact_name_wins() -> None:
    assert find_speaker("Zoe", {"Zoë": 90, "Zoe": 1}) == "Zoe"


def test_two_that_may_be_meant() -> None:
    with pytest.raises(DataError, match=r"may be Zoë \(90\), ~ Zoé \(1\); write the name exactly"):
        find_speaker("zoe", {"~ Zoé": 1, "Zoë": 90})


def test_nobody_of_that_name() -> None:
    with pytest.raises(DataError, match="nobody in the chat is called 'anika'") as caught:
        find_speaker("anika", SPEAKERS)

    assert "one of Annika (30), Ann (7)" in str(caught.value)


def test_a_long_list_is_cut() -> None:
    crowd = {f"Person {letter}": n + 1 for n, letter in enumerate("abcdefghijklmno")}

    with pytest.raises(DataError, match=r"one of Person o \(15\), .* and 3 more$"):
        find_speaker("", crowd)
