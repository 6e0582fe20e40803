"""Stage 5: a decoder learns the language of the text, from nothing or from an earlier model."""

from __future__ import annotations

from typing import Any

import torch

import minbpe
from minbpe.base import Tokenizer
from pipeline.dialogue.template import END, opening
from pipeline.evaluation.bits import Loss, measure, windows
from pipeline.report.curves import draw_curves
from pipeline.runner import Task
from pipeline.stages import ENCODED, PRETRAINED, START, TOKENIZER
from pipeline.training import auto, mixture
from pipeline.training.arrays import ArrayFile
from pipeline.training.device import prepare
from pipeline.training.fit import Parts, fit
from pipeline.training.plan import FitSettings
from pipeline.training.sample import sampler
from transformer.decoder import Decoder
from transformer.io import load, save


def run(task: Task) -> dict[str, Any]:
    """Write the best model by validation to `best/`, the log and its picture."""
    tokenizer = minbpe.load(task.path(TOKENIZER))
    device = prepare(task.settings.train)
    train, val = (ArrayFile(task.path(name)) for name in ENCODED[:2])
    with train, val:
        decoder = _decoder(task, len(train), tokenizer).to(device)
        block = decoder.config.block
        count = sum(p.numel() for p in decoder.parameters())
        task.screen.note(
            f"{count / 1e6:.2f} M parameters, {len(train):,} tokens, block {block}, "
            f"dropout {decoder.config.dropout}"
        )

        settings = task.settings.pretrain
        seed = task.settings.train.seed
        data = mixture.pretraining(train, block, settings.loader, seed, settings.chat_share)
        held_out, text_bytes = mixture.validation(val, data)
        if isinstance(data, mixture.Mixture):
            task.screen.note(str(data))

        def evaluate() -> Loss:
            return measure(decoder, windows(held_out, block), text_bytes)

        parts = Parts(
            model=decoder,
            data=data,
            evaluate=evaluate,
            keep=lambda: save(decoder, task.path(PRETRAINED)),
            sample=sampler(decoder, tokenizer, _prompt(task, tokenizer)),
        )
        fitting = FitSettings(
            key=task.key,
            **task.budget,
            batch=auto.batch(settings.batch, block),
            accumulation=settings.accumulation,
            learning_rate=auto.learning_rate(settings.learning_rate, decoder.config.width),
            weight_decay=settings.weight_decay,
            patience=settings.patience,
            train=task.settings.train,
        )
        end = fit(parts, fitting, task.folder, task.screen)
    draw_curves(task.folder / "log.jsonl", task.folder / "loss.png", "Pretraining")
    return {"parameters": count, "steps": end.step, "bits_per_byte": round(end.best, 4)}


def _decoder(task: Task, tokens: int, tokenizer: Tokenizer) -> Decoder:
    start = task.path(START)
    if (start / "config.json").exists():
        task.screen.note("starting from the model that is retrained")
        return load(start)
    config = auto.model_config(
        task.settings.model, tokens, tokenizer.size, tokenizer.special["<|padding|>"]
    )
    generator = torch.Generator().manual_seed(task.settings.train.seed)
    return Decoder(config, generator)


def _prompt(task: Task, tokenizer: Tokenizer) -> list[int]:
    persona = task.settings.source.persona
    return opening(persona, tokenizer) if persona else [tokenizer.special[END]]
