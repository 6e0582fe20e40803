"""What a training step of a trial takes on this machine."""

from __future__ import annotations

import torch

from pipeline.common.processes import ALONE
from pipeline.experiments.run import LOADER, stepper_of
from pipeline.experiments.trial import ROWS, Trial
from pipeline.training.batches import Blocks
from pipeline.training.hardware.device import pick_device, timed
from pipeline.training.memmap import ArrayFile
from transformer.decoder import Decoder

STEPS = 3  # after a first one


def step_seconds(trial: Trial) -> float:
    """The median of a few steps that change nothing."""
    with ArrayFile(trial.text.train) as train:
        data = Blocks(train.values, trial.config.block, LOADER, trial.seed)
        model = Decoder(trial.config, torch.Generator().manual_seed(0))
        stepper = stepper_of(trial, model.to(pick_device("auto", ALONE)), data)
        stepper.dry_run(ROWS)
        taken = sorted(timed(lambda: stepper.dry_run(ROWS)) for _ in range(STEPS))
    return taken[len(taken) // 2]
