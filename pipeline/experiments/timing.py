"""What a training step of a trial takes on this machine."""

from __future__ import annotations

import torch

from pipeline.experiments.run import LOADER, settings_of
from pipeline.experiments.trial import Trial
from pipeline.training.arrays import ArrayFile
from pipeline.training.batches import Blocks
from pipeline.training.device import Machine, pick_device, timed
from pipeline.training.step import Stepper
from pipeline.world import ALONE
from transformer.decoder import Decoder

STEPS = 3  # after a first one


def step_seconds(trial: Trial, rows: int) -> float:
    """The median of a few steps that change nothing."""
    device = pick_device("auto", ALONE)
    with ArrayFile(trial.text.train) as train:
        data = Blocks(train.values, trial.config.block, LOADER, trial.seed)
        model = Decoder(trial.config, torch.Generator().manual_seed(0)).to(device)
        settings = settings_of(trial, data.epoch)
        stepper = Stepper(model, data, settings, Machine.plain(device), ALONE)
        stepper.rehearse(rows)
        taken = sorted(timed(lambda: stepper.rehearse(rows)) for _ in range(STEPS))
    return taken[len(taken) // 2]
