"""What one process does: train a trial, measure it, and write its record last.

Until then `runs/KEY/` holds checkpoints to go on from, and what the training said.
"""

from __future__ import annotations

import math
import platform
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn

from pipeline.common.errors import TrainingDiverged
from pipeline.common.files import read_jsonl, write_json
from pipeline.common.processes import ALONE
from pipeline.common.screen import Screen
from pipeline.experiments import lengths, speeds
from pipeline.experiments.budget import parameters
from pipeline.experiments.trial import LONGER, ROWS, Trial, model_of, record_of, work_of
from pipeline.training.batches import Blocks
from pipeline.training.hardware import memory
from pipeline.training.hardware.device import Machine, peak_flops, pick_device
from pipeline.training.loop import fit
from pipeline.training.memmap import ArrayFile
from pipeline.training.state import ComputePlan, FitSettings, Parts, TrainState
from pipeline.training.step import Stepper
from pipeline.training.validation import Loss, measure_text
from pipeline.workspace.settings import Train
from transformer.convert import to_grouped
from transformer.decoder import Decoder
from transformer.io import load, save

WEIGHT_DECAY = 0.1
LOADER = "blocks"  # side by side, so that a pass is a pass
EVALUATIONS = 10  # while it learns, for the curve
GLANCE = 32  # windows of an evaluation while it learns
WINDOWS = 1024  # of the final ones: all of a short text
LEARNED = 128  # windows of what was learned from, to measure the loss there


def run(trial: Trial, folder: Path, keeps: bool) -> None:
    """Do it all, going on where an earlier process was stopped. `keeps`: leave the model behind."""
    began = time.monotonic()
    work = work_of(trial, folder)
    work.mkdir(parents=True, exist_ok=True)
    with ArrayFile(trial.text.train) as train, ArrayFile(trial.text.val) as val:
        found = _Run(trial, folder, train, val).found(keeps)
    write_json(record_of(trial, folder), {**found, "seconds": time.monotonic() - began})
    shutil.rmtree(work)


class _Run:
    """One call of `run`."""

    def __init__(self, trial: Trial, folder: Path, train: ArrayFile, val: ArrayFile) -> None:
        self.trial, self.folder, self.val = trial, folder, val
        self.work = work_of(trial, folder)
        used = max(trial.config.block + 1, round(trial.share * len(train)))
        self.ids = train.values[:used]
        self.train_bytes = round(train.info["bytes"] * used / len(train))
        self.data = Blocks(self.ids, trial.config.block, LOADER, trial.seed)
        self.device = pick_device("auto", ALONE)

    def found(self, keeps: bool) -> dict[str, Any]:
        """Train, measure, and say what came out."""
        facts = {
            "key": self.trial.key,
            "text": self.trial.text.name,
            "parameters": parameters(self.trial.config),
            "steps": self.trial.steps,
            "tokens": self.trial.tokens,
            "seed": self.trial.seed,
            "hidden": self.trial.config.hidden,
            "rate": self.trial.rate,
            "machine": machine(self.device),
        }
        try:
            facts |= self._learned(keeps)
        except TrainingDiverged as error:  # which it would again; all else is tried anew
            facts["failed"] = str(error).partition(";")[0]
        if self.trial.times:
            facts["generation"] = speeds.generation(self.trial.config, self.device)
            facts["cache_bytes"] = speeds.cache_bytes(self.trial.config)
        return facts

    def _learned(self, keeps: bool) -> dict[str, Any]:
        model, peak = self._begun_and_weighed()
        before = self._measured(model) if self.trial.start else None
        end = self._fit(model)
        val = self._measured(model)
        if not math.isfinite(val.nats):
            raise TrainingDiverged(f"After all steps the validation loss is {val.nats}")
        if keeps:
            save(model, model_of(self.trial, self.folder))
        return {
            "train_loss": self._learned_from(model).per_token,
            "val_loss": val.per_token,
            "bits_per_byte": val.bits_per_byte,
            "before": before.per_token if before else None,
            "longer": self._longer(model),
            "peak_bytes": peak,
            "setbacks": end.recovery.setbacks,
            "curve": list(read_jsonl(self.work / "log.jsonl")),
        }

    def _begun_and_weighed(self) -> tuple[Decoder, int]:
        """The model, and the most bytes held in a step, before any evaluation took some."""
        peak_flops(Machine.plain(self.device))  # loads what every run loads
        own = memory.used(self.device) if self.device.type == "cpu" else 0
        with memory.peak(self.device) as held:
            model = self._begun().to(self.device)
            stepper = stepper_of(self.trial, model, self.data)
            for _ in range(2):  # in the second one, the optimizer has its memory
                stepper.dry_run(ROWS)
            return model, held() - own

    def _begun(self) -> Decoder:
        """A new decoder, or an earlier run's with its heads pooled."""
        trial = self.trial
        if trial.start is None:
            return Decoder(trial.config, torch.Generator().manual_seed(trial.seed))
        return to_grouped(load(model_of(trial.start, self.folder)), trial.config.kv_heads)

    def _fit(self, model: Decoder) -> TrainState:
        trial = self.trial

        def evaluate(objective: nn.Module) -> Loss:
            return measure_text(
                objective,
                self.val.values,
                trial.config.block,
                self.val.info["bytes"],
                max_windows=GLANCE,
            )

        parts = Parts(
            model, self.device, self.data, evaluate, keep=lambda _: None, sample=lambda: ""
        )
        screen = Screen(Console(file=sys.stdout, highlight=False, force_terminal=False))
        return fit(parts, settings_of(trial, self.data.samples_per_epoch), self.work, screen)

    def _measured(self, model: Decoder) -> Loss:
        """The loss over the validation text, without dropout."""
        block = self.trial.config.block
        return measure_text(
            model, self.val.values, block, self.val.info["bytes"], max_windows=WINDOWS
        )

    def _learned_from(self, model: Decoder) -> Loss:
        """The same over what it learned from."""
        block = self.trial.config.block
        return measure_text(model, self.ids, block, self.train_bytes, max_windows=LEARNED)

    def _longer(self, model: Decoder) -> dict[str, Any]:
        if not self.trial.stretches:
            return {}
        size = self.val.info["bytes"]
        return {
            str(times): lengths.measured(model, times, self.val.values, size, WINDOWS)
            for times in LONGER
        }


def settings_of(trial: Trial, epoch: int) -> FitSettings:
    """How a trial is trained, with `epoch` samples in a pass."""
    return FitSettings(
        name="laboratory",
        key=trial.key,
        minutes=0.0,
        epochs=(trial.steps - 0.5) * ROWS / epoch,  # which is rounded up
        batch=ROWS,
        accumulation=1,
        learning_rate=trial.rate,
        weight_decay=WEIGHT_DECAY,
        patience=0,
        train=Train(
            precision="float32",
            threads=torch.get_num_threads(),
            seed=trial.seed,
            evaluate_every=max(1, trial.steps // EVALUATIONS),
            save_every=math.inf,  # minutes: by the clock, going back would lead elsewhere each time
            save_steps=max(1, trial.steps // EVALUATIONS),
            keep=2,
        ),
        optimizer=trial.optimizer,
    )


def stepper_of(trial: Trial, model: Decoder, data: Blocks) -> Stepper:
    """Takes steps of a trial, outside its training."""
    device = model.tokens.weight.device
    plan = ComputePlan(ROWS, threads=torch.get_num_threads())
    settings = settings_of(trial, data.samples_per_epoch)
    return Stepper(model, data, settings, device, plan, ALONE)


def machine(device: torch.device) -> dict[str, Any]:
    """What the speeds were measured on."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
