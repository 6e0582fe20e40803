"""Stage 7: the decoder learns the persona's turns; ends with `model/`, all that chat.py needs."""

from __future__ import annotations

from typing import Any

from pipeline.report.pictures import draw_curves
from pipeline.stages.finetuning import Trainer
from pipeline.stages.package import package
from pipeline.stages.runner import Task
from pipeline.training.adapters import search
from pipeline.training.memmap import ArrayFile
from pipeline.workspace.stages import DIALOGUES, FINETUNED


def run(task: Task) -> dict[str, Any]:
    """Fine-tune all weights or an adapter, keep the best by validation, and package the model."""
    with ArrayFile(task.path(DIALOGUES[0])) as train, ArrayFile(task.path(DIALOGUES[1])) as val:
        trainer = Trainer(task, train.values, val)
        tuning, minutes = trainer.tuning(), task.budget["minutes"]
        key = task.key
        if task.settings.finetune.tune:
            trials = search.Trials(trainer.train, task.folder, task.key, task.screen, task.world)
            tuning, spent = trials.best(tuning, minutes)
            minutes, key = minutes - spent, f"{task.key} {tuning}"
        end = trainer.train(tuning, minutes, task.folder, key, keeps=True)
    if task.world.leads:
        trainer.merge(tuning, task.folder)
        package(task.workspace, task.path(FINETUNED), end.best, trainer.rows.shape[2])
        draw_curves(task.folder / "log.jsonl", task.folder / "loss.png", "Fine-tuning")
    return {
        "parameters": trainer.parameters,
        "learning": trainer.learning,
        "steps": end.step,
        "bits_per_byte": round(end.best, 4),
    }
