"""Training that is ended from outside, in the middle of a checkpoint: nothing is lost by it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests_support import SMALL

from pipeline.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import os, signal, sys
from pipeline.__main__ import main
from pipeline.training import checkpoints as checkpoint

content, written = checkpoint.as_safetensors, []

def until_the_fourth(tensors, facts):
    for chunk in content(tensors, facts):
        yield chunk
        if len(written) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    written.append(facts)

checkpoint.as_safetensors = until_the_fourth
main(sys.argv[1:])
"""


def log(workspace: Path) -> list[dict[str, float]]:
    text = (workspace / "5_pretrained/log.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_run_that_is_killed_while_it_saves_ends_like_one_that_never_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = random.Random(1)
    words = [
        "the",
        "moon",
        "over",
        "a",
        "garden",
        "sings",
        "of",
        "rain",
        "and",
        "every",
        "stone",
        "is",
        "listening",
    ]
    lines = (" ".join(draw.choices(words, k=7)) for _ in range(200))
    Path("text.txt").write_text(".\n".join(lines), encoding="utf-8")
    assert main(["3-4", "--corpus", "text.txt", "--workspace", "whole", *SMALL]) == 0
    shutil.copytree("whole", "killed", copy_function=shutil.copy2)
    changes = ("budget.epochs=6", "train.save_steps=2", "train.evaluate_steps=3")
    train = [word for change in changes for word in ("--set", change)]
    assert main(["5", "--workspace", "whole", *train]) == 0
    Path("run.py").write_text(KILLED, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "run.py", "5", "--workspace", "killed", *train],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == -9
    checkpoints = Path("killed/5_pretrained/last")
    assert len(list(checkpoints.glob("*.part"))) == 1
    assert main(["5", "--workspace", "killed", *train]) == 0
    assert not list(checkpoints.glob("*.part"))
    assert log(Path("killed")) == log(Path("whole"))
    ends = [Path(name, "5_pretrained/best/model.safetensors") for name in ("killed", "whole")]
    assert ends[0].read_bytes() == ends[1].read_bytes()
