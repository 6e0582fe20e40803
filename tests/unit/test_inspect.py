"""What `inspect` finds, shows, and gives to other programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.cli.inspect import show
from pipeline.cli.inspect_findings import Speaker, count_speakers, find, verdict
from pipeline.common.screen import Screen
from pipeline.common.words import count_words
from pipeline.exports.read_export import read_export

CHAT = (
    "25/03/2024, 10:01 - Messages and calls are end-to-end encrypted. Tap to learn more.\n"
    "25/03/2024, 10:01 - Ann: one two 😀👩🏽‍🚀\n25/03/2024, 10:02 - Ann: it's 3\n"
    "25/03/2024, 10:30 - Ann: x\n25/03/2024, 10:31 - Bob: <Media omitted>\n"
    "26/03/2024, 10:31 - ~ Ann: 🇬🇧\n26/03/2024, 10:32 - Bob: <Bara>\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "chat.txt"
    found.write_text(CHAT, encoding="utf-8")
    return found


def test_what_each_person_wrote(path: Path) -> None:
    ann, other = count_speakers(read_export(path).messages)

    assert (ann.messages, ann.words, ann.emoji, ann.bursts) == (3, 5, 2, 2)
    assert (other.name, other.words, other.emoji, other.bursts) == ("~ Ann", 0, 1, 1)
    assert str(ann.first) == "2024-03-25"


@pytest.mark.parametrize(
    ("text", "words"),
    [("", 0), ("don't stop-gap ...", 2), ("你好吗", 2), ("สวัสดี ok", 4), ("नमस्ते", 3), ("😀", 0)],
)
def test_words(text: str, words: int) -> None:
    assert count_words(text) == pytest.approx(words, abs=1)


def test_one_screen(path: Path, console) -> None:
    show(find([path]), Screen(console))

    shown = console.file.getvalue()
    for words in (
        "android, dd/mm/yyyy, hh:mm -, 2024-03-25 to 2024-03-26; format confidence 100%",
        "too little to imitate",
        "2 pictures, sounds, videos and documents, 1 notices of the app",
        "in no table, not learned: 1: <Bara>",
        'aliases = ["Ann = ~ Ann"]',
        "Enough text to be imitated: nobody (0 of 2).",
    ):
        assert words in " ".join(shown.split())
    assert len(shown.splitlines()) < 40


def test_a_large_group_names_who_has_enough(tmp_path: Path, console) -> None:
    said = "word " * 30
    lines = [
        f"25/03/2024, 10:{n % 60:02} - {'Ann' if n % 2 else f'P{n % 80}'}: {said}\n"
        for n in range(2_000)
    ]
    path = tmp_path / "group.txt"
    path.write_text("".join(lines), encoding="utf-8")

    findings = find([path])
    show(findings, Screen(console))

    assert findings.speakers[0].name == "Ann"
    assert "Enough text to be imitated: Ann (1 of 41)." in console.file.getvalue()
    assert "29 more" in console.file.getvalue()


def test_verdicts_grow_with_the_text() -> None:
    told = [
        verdict(Speaker("Ann", words=words), whole)
        for words, whole in ((10, 10), (2_000, 2_000), (41_000, 80_000), (600_000, 2_000_000))
    ]

    assert len(set(told)) == 4
    assert "enough for their style on a pretrained base" in told[2]
    assert "too little to learn a language from" in told[2]


def test_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(path), "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in found["speakers"]] == ["Ann", "~ Ann"]
    assert found["chats"][0]["date_order"] == "day-first"
    assert found["likely_pairs"] == [["Ann", "~ Ann"]]


def test_aliases_and_several_exports(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.txt"
    again.write_text(CHAT + "27/03/2024, 10:31 - Bob: bye\n", encoding="utf-8")

    findings = find([path, again], aliases=["Ann = ~ Ann"])

    assert [s.name for s in findings.speakers] == ["Ann", "Bob"]
    assert (findings.repeats, findings.pairs) == (7, ())


def test_a_path_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "nowhere.txt"]) == 2
    assert "nowhere.txt does not exist" in capsys.readouterr().err
