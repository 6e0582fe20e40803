"""Training in two processes, as torchrun starts them: the numbers of one with twice the batch."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = ("-m", "pipeline")
FAILS_IN_ONE = str(ROOT / "tests/support/fails_in_one.py")
SMALL = {
    "tokenizer.vocab_size": 300,
    "model.size": "tiny",
    "model.layers": 2,
    "model.width": 32,
    "model.heads": 2,
    "model.kv_heads": 1,
    "model.block": 16,
    "model.dropout": 0,  # which units it drops depends on the process
    "train.device": "cpu",
    "train.precision": "float32",
    "train.threads": 1,
    "train.evaluate_steps": 4,
}


def texts() -> str:
    words = "the moon over a garden sings of rain and every stone is listening"
    draw = random.Random(1)
    return "".join(f"{' '.join(draw.choices(words.split(), k=7))}.\n" for _ in range(400))


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A workspace in which one process trained, beside it one that is ready to."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "text.txt").write_text(texts(), encoding="utf-8")
    run(folder / "ready", ["3-4", "--corpus", str(folder / "text.txt")], SMALL)
    run(copied(folder / "ready", "alone"), ["5", "--epochs", "1"], {"pretrain.batch": 8})
    return folder / "alone"


def run(workspace: Path, words: list[str], settings: dict[str, Any]) -> None:
    """A verb in this process."""
    assert main(arguments(workspace, words, settings)) == 0


def run_in_two(
    workspace: Path,
    words: list[str],
    settings: dict[str, Any],
    program: Sequence[str] = PIPELINE,
    succeeds: bool = True,
) -> str:
    """A verb in two processes; returns what they printed."""
    start = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", *program]
    done = subprocess.run(
        [sys.executable, "-m", *start, *arguments(workspace, words, settings)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout + done.stderr


def arguments(workspace: Path, words: list[str], settings: dict[str, Any]) -> list[str]:
    changes = [f"--set={name}={value}" for name, value in settings.items()]
    return [*words, "--workspace", str(workspace), *changes]


def copied(workspace: Path, name: str) -> Path:
    return Path(shutil.copytree(workspace, workspace.with_name(name)))


def losses(workspace: Path) -> list[tuple[float, float]]:
    lines = (workspace / "5_pretrained/log.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["train_loss"], row["val_loss"]) for row in map(json.loads, lines)]


several = pytest.mark.skipif(
    sys.platform == "win32", reason="torchrun needs libuv, absent on Windows"
)


@several
@pytest.mark.parametrize(
    ("sharding", "told"), [("never", "2 processes"), ("always", "each with its share of the model")]
)
def test_two_processes_learn_what_one_learns_with_twice_the_batch(alone, sharding, told):
    two = copied(alone.with_name("ready"), sharding)
    wanted = {"pretrain.batch": 4, "train.sharding": sharding}
    assert told in run_in_two(two, ["5", "--epochs", "1"], wanted)
    assert len(losses(alone)) > 4
    assert losses(two) == [pytest.approx(pair, rel=2e-3) for pair in losses(alone)]
    # The checkpoint of two goes on in one, where a larger budget's decay begins later.
    run(two, ["5", "--epochs", "2"], {})
    longer = copied(alone, f"longer-{sharding}")
    run(longer, ["5", "--epochs", "2"], {})
    assert losses(two) == [pytest.approx(pair, rel=5e-3) for pair in losses(longer)]


@several
def test_when_one_of_several_fails_each_says_so_in_a_line_and_a_restart_goes_on(alone, monkeypatch):
    monkeypatch.setenv("FAILS", "1")
    two = copied(alone.with_name("ready"), "fails")
    wanted = {"pretrain.batch": 4, "train.sharding": "never", "train.save_steps": 3}
    words = ["5", "--epochs", "1"]
    printed = run_in_two(two, words, wanted, (FAILS_IN_ONE,), succeeds=False)
    assert "Memory ran out; close other programs" in printed
    assert "Another of the processes that train together has ended" in printed
    assert str(ROOT / "pipeline") not in printed  # no traceback
    printed = run_in_two(two, words, wanted, ("--max-restarts=1", FAILS_IN_ONE))
    assert "continuing from step 9 of 24" in printed
    assert losses(two) == [pytest.approx(pair, rel=2e-3) for pair in losses(alone)]
