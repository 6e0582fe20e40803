"""The whole road on a small chat: run, status, continue, change, retrain, purge."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from tests_support import SMALL, chat_lines

from pipeline.__main__ import main
from pipeline.serving.model_card import read_warning, write_warning
from pipeline.stages import stage5_pretrain
from pipeline.training import auto
from pipeline.training.loop import fit
from pipeline.training.state import FitSettings
from pipeline.workspace.workspace import Workspace
from transformer.io import load_config

OPENED: Counter[tuple[str, str]] = Counter()  # names and modes of files opened while `run` ran


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder in which `run` went through once; tests work on copies of it."""
    home = tmp_path_factory.mktemp("home")
    (home / "chat.txt").write_text(chat_lines(60), encoding="utf-8")
    really_open = Path.open

    def counted(path: Path, mode: str = "r", *rest, **options):
        OPENED[f"{path.parent.name}/{path.name}", mode] += 1
        return really_open(path, mode, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr(Path, "open", counted)
        assert main(["run", "--export", "chat.txt", "--persona", "ben", *SMALL]) == 0
    return home


@pytest.fixture
def home(finished, tmp_path, monkeypatch) -> Path:
    shutil.copytree(finished, tmp_path / "home", copy_function=shutil.copy2)
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def record(home: Path, folder: str) -> dict:
    return json.loads((home / "workspaces/ben" / folder / "stage.json").read_text("utf-8"))


def test_everything_the_design_names_is_there(home):
    space = home / "workspaces/ben"
    for name in (
        "workspace.toml",
        "1_messages/messages.jsonl",
        "2_clean/messages.jsonl",
        "2_clean/removed.jsonl",
        "3_tokenizer/tokenizer.json",
        "3_tokenizer/vocab.txt",
        "4_encoded/train.bin",
        "5_pretrained/last",
        "5_pretrained/best/model.safetensors",
        "5_pretrained/log.jsonl",
        "5_pretrained/loss.png",
        "6_dialogues/train.jsonl",
        "6_dialogues/test.bin",
        "7_finetuned/best/model.safetensors",
        "8_evaluation/scores.json",
        "8_evaluation/samples.md",
    ):
        assert (space / name).exists(), name
    assert {p.name for p in (space / "model").iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "chat.json",
        "README.md",
    }
    assert not list(space.rglob("*.part"))


def test_a_run_parses_the_chat_once_a_stage_at_most(finished):
    assert 1 <= OPENED["2_clean/messages.jsonl", "r"] <= 6


def test_nothing_personal_is_in_the_records(home):
    for path in (home / "workspaces/ben").rglob("stage.json"):
        text = path.read_text(encoding="utf-8")
        assert "Ben" not in text
        assert "chat.txt" not in text
        assert "morning" not in text


@pytest.mark.skipif(os.name != "posix", reason="this system has no file modes")
def test_a_workspace_is_private(home):
    for folder in ("", "1_messages", "model"):
        mode = stat.S_IMODE((home / "workspaces/ben" / folder).stat().st_mode)
        assert mode == 0o700


def test_a_second_run_does_nothing(home, capsys):
    assert main(["run"]) == 0
    out = capsys.readouterr().out
    assert out.count("· up to date") == 8
    assert f" chat.py {Path('workspaces/ben/model')}" in out
    assert str(Path("workspaces/ben/8_evaluation/report.html")) in out
    assert main(["status"]) == 0
    assert capsys.readouterr().out.count("up to date") == 8


def test_the_scores_have_the_promised_shape(home):
    scores = json.loads((home / "workspaces/ben/8_evaluation/scores.json").read_text("utf-8"))
    assert {"bits_per_byte", "loss", "language_bits_per_byte"} <= set(scores)
    for metric in scores.values():
        assert set(metric) == {"value", "low", "high", "floor", "ceiling", "n", "note"}
    bits = scores["bits_per_byte"]
    assert bits["low"] < bits["value"] < bits["high"]
    samples = (home / "workspaces/ben/8_evaluation/samples.md").read_text("utf-8")
    assert samples.count("| real | generated |") == 3


def test_a_changed_setting_is_a_reason_in_a_sentence(home, capsys):
    assert main(["why", "finetune"]) == 0
    assert "finetune is up to date" in capsys.readouterr().out
    space = Workspace.make(Path("workspaces/ben"), {"finetune.rank": 4})
    assert space.settings.finetune.rank == 4
    main(["why", "finetune"])
    assert "finetune.rank auto → 4" in capsys.readouterr().out
    main(["why", "evaluate"])
    assert "stage 7 (finetune) is out of date: finetune.rank" in capsys.readouterr().out


def test_the_same_bytes_leave_later_stages_up_to_date(home, capsys):
    before = record(home, "4_encoded")
    (home / "workspaces/ben/3_tokenizer/vocab.txt").unlink()
    main(["why", "tokenizer"])
    assert "vocab.txt is gone" in capsys.readouterr().out
    assert main(["tokenizer"]) == 0
    assert record(home, "4_encoded") == before
    main(["status"])
    assert capsys.readouterr().out.count("up to date") == 8


def test_a_stage_refuses_to_run_on_input_that_is_out_of_date(home, capsys):
    assert main(["5", "--set", "clean.silence=30"]) == 2
    error = capsys.readouterr().err
    assert "builds on stage 2 (clean)" in error
    assert "clean.silence auto → 30" in error
    assert "python -m pipeline 2-5" in error
    assert error.count("\n") == 1


def test_a_chat_setting_only_packages_the_model_again(home):
    log = (home / "workspaces/ben/7_finetuned/log.jsonl").read_bytes()
    assert main(["7", "--set", "chat.temperature=0.5"]) == 0
    chat = json.loads((home / "workspaces/ben/model/chat.json").read_text("utf-8"))
    assert chat["sampling"]["temperature"] == 0.5
    assert (home / "workspaces/ben/7_finetuned/log.jsonl").read_bytes() == log


def test_a_warning_leaves_everything_up_to_date_and_survives_packaging(home, capsys):
    model = home / "workspaces/ben/model"
    write_warning(model, "It repeats its chat.")
    assert main(["status"]) == 0
    assert capsys.readouterr().out.count("up to date") == 8
    assert main(["7", "--set", "chat.temperature=0.6"]) == 0
    assert read_warning(model) == "It repeats its chat."
    assert "## Warning" in (model / "README.md").read_text("utf-8")


def test_the_model_knows_who_speaks_and_how_much(home):
    chat = json.loads((home / "workspaces/ben/model/chat.json").read_text("utf-8"))
    persona = chat["persona"]
    assert next(iter(chat["voices"])) == persona
    assert chat["learned"] == [persona]
    assert chat["habits"][persona]["tokens"] >= 16
    assert date.fromisoformat(chat["last_message"])
    assert chat["follows"] == {}  # from scratch, the names are learned
    assert chat["context"] == 64


def test_more_epochs_continue_both_trainings(home):
    steps = record(home, "5_pretrained")["counts"]["steps"]
    assert main(["run", "--epochs", "3"]) == 0
    assert record(home, "5_pretrained")["counts"]["steps"] > steps
    assert main(["run", "--epochs", "2"]) == 0  # less than it had: nothing to do
    assert record(home, "5_pretrained")["budget"]["epochs"] == 3


def test_minutes_after_epochs_are_said_to_change_nothing(home, capsys):
    assert main(["run", "--minutes", "60"]) == 0
    out = capsys.readouterr().out
    assert out.count("--minutes changes nothing") == 1
    assert out.count("· up to date") == 8


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_lora_trains_an_adapter_and_packages_it_merged(home, method):
    if method == "qlora":
        pytest.importorskip("bitsandbytes", reason="needs `pip install bitsandbytes==0.50.2`")
    assert main(["7", "--set", f"finetune.method={method}", "--set", "finetune.rank=2"]) == 0
    counts = record(home, "7_finetuned")["counts"]
    assert 0 < counts["learning"] < 0.5 * counts["parameters"]
    folder = home / "workspaces/ben/7_finetuned/adapter"
    assert (folder / "adapter_config.json").exists()
    assert (folder / "adapter_model.safetensors").exists()
    main(["8"])
    scores = json.loads((home / "workspaces/ben/8_evaluation/scores.json").read_text("utf-8"))
    assert scores["bits_per_byte"]["value"] != scores["bits_per_byte"]["floor"]


def test_retraining_keeps_the_test_and_tells_what_it_brought(home, capsys, monkeypatch):
    space = home / "workspaces/ben"
    taken: list[FitSettings] = []

    def watched(parts, settings, *rest):
        taken.append(settings)
        return fit(parts, settings, *rest)

    monkeypatch.setattr(stage5_pretrain, "fit", watched)

    def split_of(part: str) -> list[str]:
        lines = (space / "2_clean/messages.jsonl").read_text("utf-8").splitlines()
        return [line for line in lines if json.loads(line)["split"] == part]

    test, tokenizer = split_of("test"), (space / "3_tokenizer/tokenizer.json").read_bytes()
    old_test = (space / "6_dialogues/test.bin").read_bytes()
    (home / "newer.txt").write_text(chat_lines(75), encoding="utf-8")
    capsys.readouterr()
    words = ["retrain", "--export", "newer.txt", "--set", "pretrain.learning_rate=auto"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "180 messages more than before (720 → 900)" in out
    assert "The same test replies:" in out
    assert "starting from the model that is retrained" in out
    width = load_config(space / "5_pretrained/best").width
    assert [(s.learning_rate, s.weight_decay) for s in taken] == [
        (auto.learning_rate("auto", width, warm_start=True), auto.USUAL_WEIGHT_DECAY)
    ]
    assert split_of("test") == test
    assert (space / "3_tokenizer/tokenizer.json").read_bytes() == tokenizer
    assert (space / "6_dialogues/test.bin").read_bytes() == old_test
    assert not (space / "model.previous").exists()
    capsys.readouterr()
    main(["status"])
    assert capsys.readouterr().out.count("up to date") == 8


def test_retraining_from_scratch_starts_over_with_all_exports(home):
    (home / "newer.txt").write_text(chat_lines(15, start_day=60), encoding="utf-8")
    assert main(["retrain", "--export", "newer.txt", "--from-scratch"]) == 0
    assert record(home, "2_clean")["counts"]["messages"] == 900
    assert not (home / "workspaces/ben/start").exists()


def test_a_deleted_export_leaves_everything_up_to_date(home, capsys):
    (home / "chat.txt").unlink()
    main(["status"])
    assert capsys.readouterr().out.count("up to date") == 8


def test_purge_asks_and_deletes(home, monkeypatch):
    monkeypatch.setattr("click.confirm", lambda *_, **__: sys.exit(3))
    with pytest.raises(SystemExit):
        main(["purge"])
    assert (home / "workspaces/ben").exists()
    assert main(["purge", "--workspace", "workspaces/ben", "--yes"]) == 0
    assert not (home / "workspaces/ben").exists()


def test_a_corpus_alone_trains_a_language_and_no_persona(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("It was a bright cold day in April.\n" * 400, encoding="utf-8")
    assert main(["run", "--corpus", "book.txt", *SMALL]) == 0
    out = capsys.readouterr().out
    assert out.count("nothing to do") == 4
    scores = json.loads(Path("workspaces/book/8_evaluation/scores.json").read_text("utf-8"))
    assert scores["language_bits_per_byte"]["value"] < 6


def test_ready_made_dialogues_after_a_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("It was a bright cold day in April.\n" * 400, encoding="utf-8")
    talk = [{"role": "user", "content": "how was it"}, {"role": "assistant", "content": "cold"}]
    Path("talks.json").write_text(json.dumps([talk] * 30), encoding="utf-8")
    words = ["run", "--corpus", "book.txt", "--set", "dialogues.source=talks.json", *SMALL]
    assert main(words) == 0
    chat = json.loads(Path("workspaces/book/model/chat.json").read_text("utf-8"))
    assert chat["persona"] == "assistant"
    assert chat["partners"] == {"user": 1}


def test_a_chat_after_a_corpus_of_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("chat.txt").write_text(chat_lines(60), encoding="utf-8")
    Path("corpus").mkdir()
    rows = [{"id": n, "body": f"It was bright day number {n} in April."} for n in range(400)]
    for name in ("train", "test"):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        Path(f"corpus/{name}.jsonl").write_text(lines, encoding="utf-8")
    words = ["1-5", "--export", "chat.txt", "--persona", "Ben", "--workspace", "space"]
    assert main([*words, "--corpus", "corpus", *SMALL]) == 0
    out = capsys.readouterr().out
    assert "by their names: 1 train, 0 val, 1 test" in out
    assert "are the chat's" in out
    assert main(["5", "--workspace", "space", "--set", "pretrain.chat_share=0.9"]) == 0
    assert "90.0% of the blocks are the chat's, 94.9% in the decay" in capsys.readouterr().out
    record = Path("space/4_encoded/stage.json").read_text("utf-8")
    assert "April" not in record
    assert "body" not in record
