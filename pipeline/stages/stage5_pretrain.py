"""Stage 5: a decoder learns the language of the text, from scratch or from an earlier model.

A pretrained base knows its language already: the stage only takes it over.
"""

from __future__ import annotations

import math
import shutil
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import minbpe
from minbpe.base import Tokenizer
from pipeline.dialogue.template import document_end, opening
from pipeline.report.pictures import draw_curves
from pipeline.stages.runner import Task
from pipeline.training import auto, base_model
from pipeline.training.batches import Mixture, pretraining_data
from pipeline.training.checkpoints import LAST, LOG, STABLE, saved_key
from pipeline.training.hardware.device import Machine, candidates, peak_flops, prepare
from pipeline.training.live_view import sampler
from pipeline.training.loop import fit
from pipeline.training.memmap import ArrayFile
from pipeline.training.state import FitSettings, Parts
from pipeline.training.validation import UNCHECKED, Loss, measure_text
from pipeline.workspace.stages import ENCODED, PRETRAINED, TOKENIZER
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import load, load_config, save

WINDOWS = 128  # of validation text that an evaluation reads, evenly spread, whatever the budget
MIN_TOKENS = 2  # of a text in which one can be predicted
MIN_CHAT_TOKENS = 500  # of a chat's validation text, to choose a model by


def run(task: Task) -> dict[str, Any]:
    """Write the best model by validation to `best/`, the log and its picture."""
    started = time.monotonic()
    tokenizer = minbpe.load(task.path(TOKENIZER))
    if task.workspace.uses_base_weights(task.stage):
        return _take_over(task, tokenizer)
    device = prepare(task.settings.train, task.world)
    settings = task.settings.pretrain
    train, val = (ArrayFile(task.path(name)) for name in ENCODED[:2])
    with train, val:
        earlier = _earlier_model(task, tokenizer)
        warm_start = earlier is not None
        decoder = _new(task, len(train), tokenizer, device) if earlier is None else earlier.float()
        block = decoder.config.block
        count = sum(p.numel() for p in decoder.parameters())
        task.screen.note(
            f"{count / 1e6:.2f} M parameters, {len(train):,} tokens, block {block}, "
            f"dropout {decoder.config.dropout}"
        )
        task.screen.note(f"expect {auto.expectation(train.info['bytes'])}")

        data = pretraining_data(train, block, settings, task.settings.train.seed)
        if isinstance(data, Mixture):
            task.screen.note(str(data))
        if len(val) < MIN_TOKENS:
            task.screen.warn(UNCHECKED)
        ids, text_bytes = _validation_text(
            val if len(val) >= MIN_TOKENS else train, settings.chat_share
        )

        def evaluate(objective: nn.Module) -> Loss:
            return measure_text(objective, ids, block, text_bytes, task.world, WINDOWS)

        parts = Parts(
            model=decoder,
            device=device,
            data=data,
            evaluate=evaluate,
            keep=lambda model: save(model, task.path(PRETRAINED)),
            sample=sampler(decoder, tokenizer, _prompt(task, tokenizer)),
        )
        by_time = task.settings.budget.minutes == "auto"
        fit_settings = FitSettings(
            name="pretrain",
            key=task.key,
            minutes=task.budget["minutes"],
            epochs=task.budget["epochs"],
            max_epochs=auto.useful_epochs(len(train)) if by_time else 0.0,
            batch=auto.batch(settings.batch, block),
            accumulation=settings.accumulation,
            learning_rate=auto.learning_rate(
                settings.learning_rate, decoder.config.width, warm_start
            ),
            weight_decay=auto.weight_decay(settings.weight_decay, len(train), warm_start),
            patience=settings.patience,
            train=task.settings.train,
            batch_may_grow=settings.batch == "auto",
        )
        end = fit(parts, fit_settings, task.folder, task.screen, task.world, started)
    if task.world.leads:
        draw_curves(task.folder / LOG, task.folder / "loss.png", "Pretraining")
    bits = round(end.best.bits_per_byte, 4)
    return {"parameters": count, "steps": end.step, "bits_per_byte": bits}


def _take_over(task: Task, tokenizer: Tokenizer) -> dict[str, Any]:
    """Save the base, or the model that is retrained, as it is."""
    decoder = _earlier_model(task, tokenizer)
    assert decoder is not None
    if task.world.leads:
        for name in (LAST, STABLE):  # of a decoder that was trained from scratch
            shutil.rmtree(task.folder / name, ignore_errors=True)
        save(decoder, task.path(PRETRAINED))
        (task.folder / LOG).write_text("", encoding="utf-8")
    count = sum(p.numel() for p in decoder.parameters())
    task.screen.note(f"{count / 1e6:.1f} M parameters, taken over as they are")
    return {"parameters": count}


def _earlier_model(task: Task, tokenizer: Tokenizer) -> Decoder | None:
    """The model to go on from: the one that is retrained, else the base, if there is any."""
    start = task.workspace.start()
    if start is not None and (start / "config.json").exists():
        task.screen.note("starting from the model that is retrained")
        return load(start)
    base = task.settings.source.base
    return base_model.decoder(base, tokenizer) if base else None


def _validation_text(text: ArrayFile, chat_share: float | str) -> tuple[NDArray[np.integer], int]:
    """What the best model is chosen by, and its bytes: the chat where enough of it is learned."""
    chat_tokens = text.info.get("chat_tokens", 0)
    if chat_tokens < MIN_CHAT_TOKENS or chat_share == 0:
        return text.values, text.info["bytes"]
    return text.values[:chat_tokens], text.info["chat_bytes"]


def _new(task: Task, tokens: int, tokenizer: Tokenizer, device: torch.device) -> Decoder:
    generator = torch.Generator().manual_seed(task.settings.train.seed)
    return Decoder(_config(task, tokens, tokenizer, device), generator)


def _config(task: Task, tokens: int, tokenizer: Tokenizer, device: torch.device) -> ModelConfig:
    """What a run of this key began with, else what suits the text, the time and the machine."""
    best = task.path(PRETRAINED)
    if saved_key(task.folder) == task.key and best.exists():
        return load_config(best)
    operations = task.world.size * _peak(task, device) * 60 * task.budget["minutes"]
    return auto.model_config(
        task.settings.model,
        tokens,
        tokenizer.size,
        tokenizer.special["<|padding|>"],
        math.inf if task.budget["epochs"] else task.world.broadcast(operations),
        task.budget["epochs"] or math.inf,
    )


def _peak(task: Task, device: torch.device) -> float:
    """Operations per second that a decoder is chosen by.

    Small decoders use little of what a processor can do in bfloat16, so there float32 counts.
    """
    if device.type == "cpu":
        return peak_flops(Machine.plain(device))
    return max(peak_flops(machine) for machine in candidates(task.settings.train, device))


def _prompt(task: Task, tokenizer: Tokenizer) -> list[int]:
    persona = task.settings.source.persona
    return opening(persona, tokenizer) if persona else [document_end(tokenizer)]
