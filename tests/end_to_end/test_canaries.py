"""Planted secrets: a model that was trained on them long enough knows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.cli import evaluate_canaries as canaries
from pipeline.cli import run
from pipeline.common.files import read_json
from pipeline.workspace.workspace import Workspace

SAMPLE = Path(__file__).resolve().parents[2] / "data/samples/WhatsApp Chat with Nour.txt"


def test_exposure_grows_with_how_often_a_secret_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(canaries, "MINUTES", 0.1)
    monkeypatch.setattr(canaries, "COMPARED", 64)
    monkeypatch.setattr(canaries, "TIMES", (1, 200))
    monkeypatch.setattr(canaries, "BOXES", 2)
    space = tmp_path / "nour"
    given = ["--workspace", str(space), "--export", str(SAMPLE), "--persona", "Nour"]
    small = [
        "--set=model.layers=1",
        "--set=model.width=64",
        "--set=train.precision=float32",
        "--set=train.threads=1",
        "--set=finetune.learning_rate=0.003",
    ]
    assert main(["1-6", *given, "--epochs", "1", *small]) == 0
    monkeypatch.setattr(run, "run_stages", lambda *_: Workspace(space))  # stage 8 is not needed
    assert main(["evaluate", "--canaries", "--workspace", str(space)]) == 0
    scores = read_json(space / "8_evaluation/canaries.json")
    assert scores["exposure_200"]["value"] > scores["exposure_200"]["floor"] + 1
    assert scores["exposure_200"]["value"] >= scores["exposure_1"]["value"]
    assert scores["exposure_1"]["ceiling"] == pytest.approx(6)
    assert "exposure 200" in capsys.readouterr().out
    assert not (space / canaries.FOLDER).exists()
    assert main(["status", "--workspace", str(space)]) == 0
    assert capsys.readouterr().out.count("up to date") == 6
