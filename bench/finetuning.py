"""Which recipe of fine-tuning teaches a voice most in a given time? Trials beside each other.

    PYTHONPATH=. python bench/finetuning.py workspaces/ana default finetune.rank=32 --minutes 4
    PYTHONPATH=. python bench/finetuning.py workspaces/ana dialogues.block=256,windows.BEFORE=0.5

A trial is `default`, or differences from the workspace's settings joined by commas; capitals are
constants of `pipeline/dialogue` or `pipeline/training`. The workspace's stages 1 to 6 are done. All
trials begin with its pretrained model and are validated with the same rows: those of stage 6.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from pipeline.common.screen import Screen
from pipeline.dialogue import training_text
from pipeline.stages.runner import Task
from pipeline.stages.stage6_dialogues import Builder
from pipeline.stages.stage7_finetune import Trainer
from pipeline.training.memmap import ArrayFile
from pipeline.workspace.settings_file import from_dict, parse_value
from pipeline.workspace.stages import DIALOGUES, by_name
from pipeline.workspace.workspace import Workspace


def main() -> None:
    """Run the trials, and print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("trials", nargs="+")
    parser.add_argument("--minutes", type=float, default=4)
    args = parser.parse_args()
    for trial in args.trials:
        print(
            json.dumps({"trial": trial, **tried(args.workspace, trial, args.minutes)}), flush=True
        )


def tried(folder: Path, trial: str, minutes: float) -> dict[str, Any]:
    """Fine-tune as a trial says; its best validation, and what it took."""
    workspace = Workspace(folder)
    tree = asdict(workspace.settings)
    with ExitStack() as stack:
        for difference in trial.split(",") if trial != "default" else ():
            key, _, text = difference.partition("=")
            section, _, name = key.rpartition(".")
            if name.isupper():
                stack.enter_context(patch.object(_module(section), name, parse_value(text)))
            else:
                tree[section][name] = parse_value(text)
        workspace.settings = from_dict(tree, trial)
        return _trained(workspace, trial, minutes)


def _module(name: str) -> ModuleType:
    homes = (f"pipeline.{home}.{name}" for home in ("dialogue", "training"))
    return import_module(next(home for home in homes if find_spec(home)))


def _trained(workspace: Workspace, trial: str, minutes: float) -> dict[str, Any]:
    rows = _rows(workspace)
    task = Task(workspace, by_name("finetune"), Screen(), {"minutes": minutes, "epochs": 0.0}, "")
    began = time.monotonic()
    with (
        ArrayFile(task.path(DIALOGUES[1])) as val,
        tempfile.TemporaryDirectory() as kept,
    ):
        trainer = Trainer(task, rows, val)
        end = trainer.train(trainer.tuning(), minutes, Path(kept), trial)
    targets, tokens = (int((part >= 0).sum()) for part in (rows[:, 1], rows[:, 0]))
    return {
        "bits_per_byte": round(end.best.bits_per_byte, 4),
        "steps": end.step,
        "passes": round(end.samples / len(rows), 2),
        "targets_a_token": round(targets / tokens, 3),
        "seconds": round(time.monotonic() - began),
    }


def _rows(workspace: Workspace) -> NDArray[np.int32]:
    """The training rows as stage 6 would write them with these settings."""
    builder = Builder.of(workspace)
    examples = builder.examples(list(training_text.conversations(workspace, "train")), trains=True)
    return np.array([builder.row(example) for example in examples], dtype=np.int32)


if __name__ == "__main__":
    main()
