"""The blind test as a person sees it: typed keys in, the whole screen out."""

from __future__ import annotations

import io
import json
import shutil

import pytest
from likeness import babbler, row, workspace

from pipeline.__main__ import main
from pipeline.cli.blind_test import hold
from pipeline.common.errors import DataError, WorkspaceError
from pipeline.common.screen import Screen
from pipeline.evaluation.reply_cache import ReplyCache

ROWS = [
    row("Ben: are you up?", "Ana: of course [not]", "Ben: ok\nsleep well", "Ana: you too"),
    row("Ben: soup tonight?", "Ana: YES\nalways"),
]


@pytest.fixture
def space(tmp_path):
    return workspace(tmp_path / "ana", ROWS)


@pytest.fixture
def said(monkeypatch):
    """What the models say instead of babbling, and how often one was asked."""
    asked: list[str] = []

    def to(self, moment):
        asked.append(self.name)
        return {"you too": "YOU  too", "YES\nalways": ""}.get(moment.real, "lol maybe")

    monkeypatch.setattr(ReplyCache, "to", to)
    return asked


@pytest.fixture
def test(console):
    def run(space, *typed: str, against=None, count=20) -> str:
        lines = iter(typed)

        def read(prompt: str) -> str:
            line = next(lines, None)
            console.print(prompt + (line or ""))
            if line is None:
                raise EOFError
            if line == "^C":
                raise KeyboardInterrupt
            return line

        console.file.truncate(0)
        console.file.seek(0)
        hold(space, against, count, Screen(console), read)
        return console.file.getvalue()

    return run


def kept(space) -> list[dict]:
    (path,) = (space.path / "8_evaluation/blind").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_whole_screen(space, said, test):
    """Two of three moments tell nothing: the same words, and an empty reply."""
    screen = test(space, "what?", " 1 ")
    real_first = kept(space)[0]["order"][0] == "real"
    one, two = ("of course [not]", "lol maybe") if real_first else ("lol maybe", "of course [not]")
    taken = "0 of 1: 0%" if real_first else "1 of 1: 100%"
    assert screen.startswith(
        "    the test part has 1 moments to ask about, not 20\n"
        "\nRound 1 of 1\n"
        "Ben: are you up?\n"
        "\n"
        f"  1  {one}\n"
        f"  2  {two}\n"
        "Which is by Ana? 1 or 2 (s skips, q stops): what?\n"
        "Which is by Ana? 1 or 2 (s skips, q stops):  1 \n"
        f"The model was taken for Ana in {taken}, 95 % interval "
    )


def test_it_goes_on_where_it_stopped_with_the_same_replies(space, test):
    whole = test(space, "q", count=3)
    assert "Nothing was answered yet." in whole
    first = test(space, "1", "q", count=3)
    with pytest.raises(KeyboardInterrupt):
        test(space, "^C", count=3)
    assert [r["round"] for r in kept(space)] == [1]
    second = test(space, "s", "2", count=3)
    assert "Round 1 of" not in second
    assert first.partition("Round 2")[2].partition("Which")[0] in second
    assert "1 skipped" in second
    assert [r["round"] for r in kept(space)] == [1, 2, 3]
    assert "Which is" not in test(space, count=3)
    rows = json.dumps(kept(space))
    assert not any(text in rows for text in ("up", "soup", "always"))


def test_replies_are_drawn_once_and_do_not_depend_on_the_order(space, test):
    first = test(space, "1", "q", count=3)
    path = next((space.path / "8_evaluation/replies").iterdir())
    drawn = path.read_text("utf-8")
    assert test(space, "q", count=3).split("Which")[0] != first.split("Which")[0]
    assert path.read_text("utf-8") == drawn
    path.unlink()
    shutil.rmtree(space.path / "8_evaluation/blind")
    assert test(space, "1", "q", count=3) == first
    assert len(drawn.splitlines()) == 3


def test_two_models(space, test, tmp_path):
    other = babbler(tmp_path / "Old One", seed=9)
    screen = test(space, "1", "2", "2", against=other, count=2)
    assert "Which is more like Ana?" in screen
    assert "was chosen over old-one-" in screen
    assert {who for r in kept(space) for who in r["order"]} == {"model", "other"}
    with pytest.raises(WorkspaceError, match="same model"):
        test(space, against=space.path)
    with pytest.raises(WorkspaceError, match="somebody else"):
        test(space, against=babbler(tmp_path / "zoe", persona="Zoe"))


def test_nothing_to_ask_is_said(tmp_path, said, test):
    with pytest.raises(DataError, match="nothing to ask"):
        test(workspace(tmp_path / "a", [row("Ben: hi", "Ana: you too")]))
    with pytest.raises(DataError, match="no test conversation"):
        test(workspace(tmp_path / "b", []))


def test_without_a_terminal_there_is_one_line(space, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["blind-test", "--workspace", str(space.path)]) == 2
    assert capsys.readouterr().err == "A blind test asks a person: run it in a terminal.\n"
