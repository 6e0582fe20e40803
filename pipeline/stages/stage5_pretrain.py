"""Stage 5: a decoder learns the language of the text, from nothing or from an earlier model.

With a pretrained base, which knows its language, the stage only takes it over.
"""

from __future__ import annotations

import math
import shutil
import time
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

import minbpe
from minbpe.base import Tokenizer
from pipeline.dialogue.template import document_end, opening
from pipeline.report.pictures import draw_curves
from pipeline.stages.runner import Task
from pipeline.training import auto, base_model, checkpoint
from pipeline.training.hardware.device import Machine, candidates, peak_flops, prepare
from pipeline.training.loop import Parts, fit
from pipeline.training.memmap import ArrayFile
from pipeline.training.mixture import Mixture, blocks
from pipeline.training.preview import sampler
from pipeline.training.progress import FitSettings
from pipeline.training.validation import UNCHECKED, Loss, measure_text
from pipeline.workspace.stages import ENCODED, PRETRAINED, TOKENIZER
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import load, load_config, save

WINDOWS = 128  # of validation text that an evaluation reads, evenly spread, whatever the budget
LEAST = 2  # tokens of a text in which one can be predicted
LEAST_TOKENS = 500  # of a chat's validation text, to choose a model by


def run(task: Task) -> dict[str, Any]:
    """Write the best model by validation to `best/`, the log and its picture."""
    began = time.monotonic()
    tokenizer = minbpe.load(task.path(TOKENIZER))
    if task.workspace.uses_base_weights(task.stage):
        return _adopt(task, tokenizer)
    device = prepare(task.settings.train, task.world)
    train, val = (ArrayFile(task.path(name)) for name in ENCODED[:2])
    with train, val:
        begun = _begun(task, tokenizer)
        decoder = _new(task, len(train), tokenizer, device) if begun is None else begun.float()
        block = decoder.config.block
        count = sum(p.numel() for p in decoder.parameters())
        task.screen.note(
            f"{count / 1e6:.2f} M parameters, {len(train):,} tokens, block {block}, "
            f"dropout {decoder.config.dropout}"
        )
        task.screen.note(f"expect {auto.expectation(train.info['bytes'])}")

        settings = task.settings.pretrain
        data = blocks(train, block, settings, task.settings.train.seed)
        if isinstance(data, Mixture):
            task.screen.note(str(data))
        if len(val) < LEAST:
            task.screen.warn(UNCHECKED)
        checked = val if len(val) >= LEAST else train
        ids, text_bytes = _validation(checked, settings.chat_share)

        def evaluate(model: nn.Module) -> Loss:
            return measure_text(model, ids, block, text_bytes, task.world, WINDOWS)

        parts = Parts(
            model=decoder,
            device=device,
            data=data,
            evaluate=evaluate,
            keep=lambda model: save(model, task.path(PRETRAINED)),
            sample=sampler(decoder, tokenizer, _prompt(task, tokenizer)),
        )
        fitting = FitSettings(
            name="pretrain",
            key=task.key,
            minutes=task.budget["minutes"],
            epochs=task.budget["epochs"],
            passes=auto.passes(len(train)) if task.settings.budget.minutes == "auto" else 0.0,
            batch=auto.batch(settings.batch, block),
            accumulation=settings.accumulation,
            learning_rate=auto.learning_rate(
                settings.learning_rate, decoder.config.width, begun is not None
            ),
            weight_decay=auto.weight_decay(settings.weight_decay, len(train), begun is not None),
            patience=settings.patience,
            train=task.settings.train,
            grows=settings.batch == "auto",
            compiles=True,
        )
        end = fit(parts, fitting, task.folder, task.screen, task.world, began)
    if task.world.leads:
        draw_curves(task.folder / "log.jsonl", task.folder / "loss.png", "Pretraining")
    return {"parameters": count, "steps": end.step, "bits_per_byte": round(end.best, 4)}


def _adopt(task: Task, tokenizer: Tokenizer) -> dict[str, Any]:
    """Save the base, or the model that is retrained, as it is."""
    decoder = _begun(task, tokenizer)
    assert decoder is not None
    if task.world.leads:
        for name in ("last", "stable"):  # of a decoder that began with nothing
            shutil.rmtree(task.folder / name, ignore_errors=True)
        save(decoder, task.path(PRETRAINED))
        (task.folder / "log.jsonl").write_text("", encoding="utf-8")
    count = sum(p.numel() for p in decoder.parameters())
    task.screen.note(f"{count / 1e6:.1f} M parameters, taken over as they are")
    return {"parameters": count}


def _begun(task: Task, tokenizer: Tokenizer) -> Decoder | None:
    """The model to go on from: the one that is retrained, else the base; or none."""
    start = task.workspace.start()
    if start is not None and (start / "config.json").exists():
        task.screen.note("starting from the model that is retrained")
        return load(start)
    named = task.settings.source.base
    return base_model.decoder(named, tokenizer) if named else None


def _validation(val: ArrayFile, share: float | str) -> tuple[NDArray[Any], int]:
    """What the best model is chosen by, and its bytes: the chat where enough of it is learned."""
    chat = val.info.get("chat_tokens", 0)
    if chat < LEAST_TOKENS or share == 0:
        return val.values, val.info["bytes"]
    return val.values[:chat], val.info["chat_bytes"]


def _new(task: Task, tokens: int, tokenizer: Tokenizer, device: torch.device) -> Decoder:
    generator = torch.Generator().manual_seed(task.settings.train.seed)
    return Decoder(_config(task, tokens, tokenizer, device), generator)


def _config(task: Task, tokens: int, tokenizer: Tokenizer, device: torch.device) -> ModelConfig:
    """What a run of this key began with, else what suits the text, the time and the machine."""
    best = task.path(PRETRAINED)
    if checkpoint.Folder(task.folder / "last").key() == task.key and best.exists():
        return load_config(best)
    operations = task.world.size * _peak(task, device) * 60 * task.budget["minutes"]
    return auto.model_config(
        task.settings.model,
        tokens,
        tokenizer.size,
        tokenizer.special["<|padding|>"],
        math.inf if task.budget["epochs"] else task.world.agreed(operations),
        task.budget["epochs"] or math.inf,
    )


def _peak(task: Task, device: torch.device) -> float:
    """Operations a second that a decoder is chosen by. Small ones use little of what a processor
    can do in bfloat16, so there float32 counts."""
    if device.type == "cpu":
        return peak_flops(Machine.plain(device))
    return max(peak_flops(machine) for machine in candidates(task.settings.train, device))


def _prompt(task: Task, tokenizer: Tokenizer) -> list[int]:
    persona = task.settings.source.persona
    return opening(persona, tokenizer) if persona else [document_end(tokenizer)]
