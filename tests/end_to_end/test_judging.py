"""`evaluate --judge` from the command line to judge.json."""

from __future__ import annotations

import json

import pytest
from judge_server import facts, serving
from likeness import row, workspace

from pipeline.__main__ import main
from pipeline.cli import run
from pipeline.evaluation import chat_server

ROWS = [row(f"Ben: are you up {n}?", f"Ana: of course {n}") for n in range(5)]


def fair(body):
    shown = facts(body["messages"])
    if "A" in shown:
        return json.dumps({"winner": "A" if shown["A"].startswith("of course") else "B"})
    return json.dumps({"score": 80 if shown["reply"].startswith("of course") else 20})


@pytest.fixture
def space(tmp_path, monkeypatch):
    """A workspace whose stage 8 has nothing left to do."""
    made = workspace(tmp_path / "ana", ROWS, **{"evaluate.prompts": 3})
    monkeypatch.setattr(run, "run_stages", lambda given, stages, screen: made)
    return made


def judge(space, url, *more) -> int:
    where = ["--workspace", str(space.path), "--judge", url]
    return main(["evaluate", *where, "--model", "wise", *more])


def test_the_whole_road_and_again_without_a_question(space, capsys):
    with serving(fair) as served:
        assert judge(space, served.url) == 0
        assert len(served.bodies) == 3 * 5
        assert judge(space, served.url) == 0
        assert len(served.bodies) == 3 * 5
    figures = json.loads((space.path / "8_evaluation/judge.json").read_text("utf-8"))
    likeness = figures["judged_likeness"]
    assert [likeness[k] for k in ("value", "floor", "ceiling", "n")] == [20, 20, 80, 3]
    assert figures["judged_wins"]["value"] == 0
    assert served.facts(3)["messages"] == ["hey you\nall good?"]
    out = capsys.readouterr().out
    assert f"asking wise at {served.url}; it is shown 3 moments of the chat" in out
    assert "judged likeness: 20 (20 to 20, floor 20, ceiling 80;" in out


def test_an_interrupted_run_goes_on(space):
    left = iter(range(7))
    with serving(lambda body: fair(body) if next(left, None) is not None else (400, {})) as served:
        assert judge(space, served.url) == 2
    with serving(fair) as again:
        assert judge(space, again.url) == 0
    assert len(again.bodies) == 15 - 7


def test_a_set_of_instructions(tmp_path, monkeypatch):
    source = tmp_path / "set.json"
    source.write_text("[]", encoding="utf-8")
    made = workspace(tmp_path / "bot", ROWS, **{"dialogues.source": str(source)})
    monkeypatch.setattr(run, "run_stages", lambda given, stages, screen: made)
    with serving(fair) as served:
        assert judge(made, served.url) == 0
    assert len(served.bodies) == 5 * 3
    figures = json.loads((made.path / "8_evaluation/judge.json").read_text("utf-8"))
    assert set(figures) == {"judged_answers"}


def test_the_chat_goes_nowhere_else_unless_that_is_said(space, capsys, monkeypatch):
    monkeypatch.setattr(chat_server, "is_local", lambda host: False)
    with serving(fair) as served:
        assert judge(space, served.url) == 2
        assert served.bodies == []
        error = capsys.readouterr().err
        assert "not on this machine or its private network" in error
        assert "--allow-remote" in error
        assert error.count("\n") == 1
        assert judge(space, served.url, "--allow-remote") == 0


def test_judge_and_model_go_together(space, capsys):
    assert main(["evaluate", "--judge", "http://localhost:1"]) == 2
    assert "go together" in capsys.readouterr().err
