"""Whatever is wrong with what was given: one line, exit code 2, nothing half-written."""

from __future__ import annotations

import errno
import json
import zipfile
from pathlib import Path

import pytest
from tests_support import SMALL, chat_lines

import chat
from pipeline.__main__ import main
from pipeline.stages import stage4_encode


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("chat.txt").write_text(chat_lines(40), encoding="utf-8")
    return tmp_path


def refused(capsys, *words: str) -> str:
    """The one line that a command is refused with."""
    capsys.readouterr()
    assert main(list(words)) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1, line
    assert "Traceback" not in line
    return line


def broken_zip(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 nothing more")


def zip_without_chat(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("IMG-20240101-WA0001.jpg", b"\xff\xd8")


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("none.txt", None, "no none.txt"),
        ("empty.txt", Path.touch, "empty.txt"),
        ("letter.txt", lambda p: p.write_text("Dear all,\nno chat here.\n", "utf-8"), "letter.txt"),
        ("photo.txt", lambda p: p.write_bytes(bytes(range(256)) * 40), "photo.txt"),
        ("cut.zip", broken_zip, "cut.zip"),
        ("media.zip", zip_without_chat, "media.zip"),
        ("folder", Path.mkdir, "folder"),
    ],
)
def test_what_is_no_export(capsys, name, make, words):
    if make:
        make(Path(name))
    line = refused(capsys, "run", "--export", name, "--persona", "Ana")
    assert words in line
    assert not Path("workspaces").exists()


def test_a_persona_who_is_not_in_the_chat(capsys):
    line = refused(capsys, "run", "--export", "chat.txt", "--persona", "Anna")
    assert "Ana (160)" in line
    assert "Ben (320)" in line
    assert line.index("Ana") < line.index("Ben")
    assert not Path("workspaces").exists()


def test_no_persona_and_no_terminal_lists_who_is_there(capsys):
    line = refused(capsys, "run", "--export", "chat.txt")
    assert "--persona" in line
    assert "Ben (320), Ana (160)" in line


def test_too_little_text(capsys):
    Path("short.txt").write_text(chat_lines(1, 4), encoding="utf-8")
    line = refused(capsys, "run", "--export", "short.txt", "--persona", "Ana", *SMALL)
    assert "too few to learn from" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "finetune.rnak=3"], "Did you mean finetune.rank?"),
        (["--set", "finetune.rank"], "section.key=value"),
        (["--set", "model.heads=3"], "heads"),
        (["--minutes", "0"], "budget.minutes must be at least"),
    ],
)
def test_bad_settings(capsys, words, said):
    given = ["run", "--export", "chat.txt", "--persona", "Ana", *SMALL, *words]
    assert said in refused(capsys, *given)


def test_unknown_stages_and_workspaces(capsys):
    assert "there is no stage nine" in refused(capsys, "nine").lower()
    assert "is no workspace" in refused(capsys, "status", "--workspace", "nowhere")
    assert "no workspace yet" in refused(capsys, "3")
    Path("mine").mkdir()
    Path("mine/thesis.doc").touch()
    words = ("run", "--export", "chat.txt", "--persona", "Ana", "--workspace", "mine")
    assert "holds other files" in refused(capsys, *words)


def test_a_damaged_checkpoint_and_a_newer_workspace(capsys):
    assert main(["1-5", "--export", "chat.txt", "--persona", "Ana", *SMALL]) == 0
    for last in Path("workspaces/ana/5_pretrained/last").iterdir():
        last.write_bytes(last.read_bytes()[:-50])
    assert "is damaged" in refused(capsys, "5", "--epochs", "2")
    toml = Path("workspaces/ana/workspace.toml")
    toml.write_text(toml.read_text("utf-8").replace("version = 1", "version = 9"), "utf-8")
    assert "newer version" in refused(capsys, "status")


def test_a_stage_of_a_newer_program(capsys):
    assert main(["1", "--export", "chat.txt", "--persona", "Ana"]) == 0
    path = Path("workspaces/ana/1_messages/stage.json")
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "version": 9}), "utf-8")
    assert "newer version" in refused(capsys, "1")


def test_a_full_disk(capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "train.bin")

    with monkeypatch.context() as patch:
        patch.setattr(stage4_encode, "resumable", full)
        words = ("1-4", "--export", "chat.txt", "--persona", "Ana")
        assert "The disk is full at train.bin" in refused(capsys, *words)
    assert not list(Path("workspaces/ana/4_encoded").iterdir())
    assert main(["1-4"]) == 0


def test_a_workspace_in_use(capsys):
    assert main(["1", "--export", "chat.txt", "--persona", "Ana"]) == 0
    from pipeline.workspace.workspace import Workspace

    with Workspace(Path("workspaces/ana")).lock():
        assert "in use by another run" in refused(capsys, "2")


@pytest.mark.parametrize("given", ["nowhere", None, "."])
def test_chat_without_a_model(capsys, monkeypatch, given):
    monkeypatch.setattr("sys.argv", ["chat.py", *([given] if given else [])])
    with pytest.raises(SystemExit) as stopped:
        chat.main()
    assert stopped.value.code == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1


def test_ctrl_c_ends_with_130_and_says_that_nothing_is_lost(capsys, monkeypatch):
    def pressed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.stages.stage1_parse.write_jsonl", pressed)
    assert main(["1", "--export", "chat.txt", "--persona", "Ana"]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert not Path("workspaces/ana/1_messages/stage.json").exists()
