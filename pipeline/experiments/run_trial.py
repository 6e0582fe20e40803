"""What one process does: train a trial, measure it, and write its record last.

Until then `runs/KEY/` holds checkpoints to resume from, and the log.
"""

from __future__ import annotations

import math
import platform
import shutil
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from pipeline.common.errors import TrainingDiverged
from pipeline.common.files import read_jsonl, write_json
from pipeline.common.processes import ALONE
from pipeline.common.screen import Screen
from pipeline.experiments.measurements import cache_bytes, generation_speed, longer_loss
from pipeline.experiments.trial import LONGER, ROWS, Record, Trial, parameters
from pipeline.training.batches import Blocks
from pipeline.training.hardware import memory
from pipeline.training.hardware.device import Machine, peak_flops, pick_device, timed
from pipeline.training.loop import fit
from pipeline.training.memmap import ArrayFile
from pipeline.training.state import ComputePlan, FitSettings, Parts
from pipeline.training.step import Stepper
from pipeline.training.validation import Loss, measure_text
from pipeline.workspace.settings import Train
from transformer.convert import to_grouped
from transformer.decoder import Decoder
from transformer.io import load, save

WEIGHT_DECAY = 0.1
LOADER = "blocks"  # side by side, so that an epoch visits every token once
EVALUATIONS = 10  # during training, for the curve
CURVE_WINDOWS = 32  # of an evaluation during training
VAL_WINDOWS = 1024  # of the final one: all of a short text
TRAIN_WINDOWS = 128  # for the final loss over the training text
TIMED_STEPS = 3


def run(trial: Trial, folder: Path, keep_model: bool) -> None:
    """Train and measure, resuming where an earlier process was stopped; write the record."""
    began = time.monotonic()
    work = trial.work_folder(folder)
    work.mkdir(parents=True, exist_ok=True)
    device = pick_device("auto", ALONE)
    record: Record = {
        "key": trial.key,
        "text": trial.text.name,
        "parameters": parameters(trial.config),
        "steps": trial.steps,
        "tokens": trial.tokens,
        "seed": trial.seed,
        "hidden": trial.config.hidden,
        "rate": trial.learning_rate,
        "machine": machine_facts(device),
    }
    try:
        with ArrayFile(trial.text.train) as train, ArrayFile(trial.text.val) as val:
            record |= _train_and_measure(trial, folder, train, val, device, keep_model)
    except TrainingDiverged as error:  # as it would again; other errors leave no record
        record["failed"] = str(error).partition(";")[0]
    if trial.times_generation:
        record["generation"] = generation_speed(trial.config, device)
        record["cache_bytes"] = cache_bytes(trial.config)
    record["seconds"] = time.monotonic() - began
    write_json(trial.record_path(folder), record)
    shutil.rmtree(work)


def _train_and_measure(
    trial: Trial,
    folder: Path,
    train: ArrayFile,
    val: ArrayFile,
    device: torch.device,
    keep_model: bool,
) -> Record:
    block, val_bytes = trial.config.block, val.info["bytes"]
    used = max(block + 1, round(trial.text_share * len(train)))
    ids = train.values[:used]
    data = Blocks(ids, block, LOADER, trial.seed)

    def val_loss(model: nn.Module, windows: int) -> Loss:
        return measure_text(model, val.values, block, val_bytes, max_windows=windows)

    model, peak_bytes = _build_and_weigh(trial, folder, data, device)
    before = val_loss(model, VAL_WINDOWS).per_token if trial.pooled_from else None
    parts = Parts(
        model,
        device,
        data,
        evaluate=lambda objective: val_loss(objective, CURVE_WINDOWS),
        keep=lambda _: None,
        sample=lambda: "",
    )
    screen = Screen(Console(file=sys.stdout, highlight=False, force_terminal=False))
    work = trial.work_folder(folder)
    end = fit(parts, fit_settings(trial, data.samples_per_epoch), work, screen)
    final = val_loss(model, VAL_WINDOWS)
    if not math.isfinite(final.nats):
        raise TrainingDiverged(f"After all steps the validation loss is {final.nats}")
    if keep_model:
        save(model, trial.model_folder(folder))
    train_bytes = round(train.info["bytes"] * used / len(train))
    train_loss = measure_text(model, ids, block, train_bytes, max_windows=TRAIN_WINDOWS)
    return {
        "train_loss": train_loss.per_token,
        "val_loss": final.per_token,
        "bits_per_byte": final.bits_per_byte,
        "before": before,
        "longer": {
            str(times): longer_loss(model, times, val.values, val_bytes, VAL_WINDOWS)
            for times in (LONGER if trial.tests_longer else ())
        },
        "peak_bytes": peak_bytes,
        "setbacks": end.recovery.setbacks,
        "curve": list(read_jsonl(work / "log.jsonl")),
    }


def _build_and_weigh(
    trial: Trial, folder: Path, data: Blocks, device: torch.device
) -> tuple[Decoder, int]:
    """The model, and the peak memory of a training step, measured before any evaluation.

    The model is new, or an earlier run's with its heads pooled.
    """
    peak_flops(Machine.plain(device))  # loads the libraries that every run loads
    used_before = memory.used(device) if device.type == "cpu" else 0
    with memory.peak(device) as peak:
        if trial.pooled_from is None:
            model = Decoder(trial.config, torch.Generator().manual_seed(trial.seed))
        else:
            start = load(trial.pooled_from.model_folder(folder))
            model = to_grouped(start, trial.config.kv_heads)
        stepper = make_stepper(trial, model.to(device), data)
        for _ in range(2):  # the optimizer allocates its memory in the first
            stepper.dry_run(ROWS)
        return model, peak() - used_before


def fit_settings(trial: Trial, samples_per_epoch: int) -> FitSettings:
    """How a trial is trained."""
    return FitSettings(
        name="laboratory",
        key=trial.key,
        minutes=0.0,
        epochs=(trial.steps - 0.5) * ROWS / samples_per_epoch,  # which is rounded up
        batch=ROWS,
        accumulation=1,
        learning_rate=trial.learning_rate,
        weight_decay=WEIGHT_DECAY,
        patience=0,
        train=Train(
            precision="float32",
            threads=torch.get_num_threads(),
            seed=trial.seed,
            evaluate_steps=max(1, trial.steps // EVALUATIONS),
            save_minutes=math.inf,  # saving by the clock would make setbacks irreproducible
            save_steps=max(1, trial.steps // EVALUATIONS),
            keep_checkpoints=2,
        ),
        optimizer=trial.optimizer,
    )


def make_stepper(trial: Trial, model: Decoder, data: Blocks) -> Stepper:
    """Takes steps of a trial outside its training."""
    device = model.tokens.weight.device
    plan = ComputePlan(ROWS, threads=torch.get_num_threads())
    settings = fit_settings(trial, data.samples_per_epoch)
    return Stepper(model, data, settings, device, plan, ALONE)


def step_seconds(trial: Trial) -> float:
    """The median duration of a few training steps, after one that is not counted."""
    with ArrayFile(trial.text.train) as train:
        data = Blocks(train.values, trial.config.block, LOADER, trial.seed)
        model = Decoder(trial.config, torch.Generator().manual_seed(0))
        stepper = make_stepper(trial, model.to(pick_device("auto", ALONE)), data)
        stepper.dry_run(ROWS)
        durations = sorted(timed(lambda: stepper.dry_run(ROWS)) for _ in range(TIMED_STEPS))
    return durations[len(durations) // 2]


def machine_facts(device: torch.device) -> dict[str, str | int]:
    """What the speeds were measured on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
