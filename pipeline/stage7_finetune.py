"""Stage 7: the decoder learns the persona's turns; ends with `model/`, all that chat.py needs."""

from __future__ import annotations

from typing import Any

from torch import nn

import minbpe
from pipeline.dialogue.template import opening
from pipeline.evaluation.bits import Loss, measure, row_batches
from pipeline.persona import persona_of
from pipeline.report.curves import draw_curves
from pipeline.runner import Task
from pipeline.serving.package import package
from pipeline.stages import DIALOGUES, FINETUNED, PRETRAINED, TOKENIZER
from pipeline.training import auto, lora, quantized
from pipeline.training.arrays import ArrayFile
from pipeline.training.batches import Rows
from pipeline.training.device import prepare
from pipeline.training.fit import Parts, fit
from pipeline.training.plan import FitSettings
from pipeline.training.sample import sampler
from transformer.decoder import Decoder
from transformer.io import load, save


def run(task: Task) -> dict[str, Any]:
    """Fine-tune all weights or an adapter, keep the best by validation, and package the model."""
    settings = task.settings.finetune
    tokenizer = minbpe.load(task.path(TOKENIZER))
    decoder = load(task.path(PRETRAINED)).to(prepare(task.settings.train, task.world))
    adapter = task.folder / "adapter"
    total = sum(p.numel() for p in decoder.parameters())
    if settings.method == "qlora":
        quantized.pack(decoder)
    adapts = settings.method != "full"
    model = lora.adapted(decoder, settings) if adapts else decoder
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total += learning if adapts else 0
    task.screen.note(
        f"{settings.method}: {learning:,} of {total:,} parameters learn ({learning / total:.2%})"
    )
    train, val = (ArrayFile(task.path(name)) for name in DIALOGUES[:2])
    with train, val:

        def evaluate(objective: nn.Module) -> Loss:
            return measure(objective, row_batches(val.values), val.info["bytes"], task.world)

        def keep(whole: Decoder) -> None:
            if adapts:
                lora.save_adapter(model, adapter)
            else:
                save(whole, task.path(FINETUNED))

        persona = persona_of(task.workspace)
        batch = auto.finetune_batch(settings.batch, decoder.config.block)
        parts = Parts(
            model=decoder,
            data=Rows(train.values, task.settings.train.seed, batch),
            evaluate=evaluate,
            keep=keep,
            sample=sampler(decoder, tokenizer, opening(persona, tokenizer)),
        )
        rate = auto.finetune_rate(settings.learning_rate, settings.method, decoder.config.width)
        fitting = FitSettings(
            name="finetune",
            key=task.key,
            minutes=task.budget["minutes"],
            epochs=task.budget["epochs"],
            passes=auto.FINETUNE_PASSES if task.settings.budget.minutes == "auto" else 0.0,
            batch=batch,
            accumulation=settings.accumulation,
            learning_rate=rate,
            weight_decay=settings.weight_decay,
            patience=settings.patience,
            train=task.settings.train,
        )
        end = fit(parts, fitting, task.folder, task.screen, task.world)
    if task.world.leads:
        if adapts:
            base = load(task.path(PRETRAINED)).to(decoder.tokens.weight.device)
            base = quantized.rounded(base) if settings.method == "qlora" else base
            save(lora.merged(base, adapter), task.path(FINETUNED))
        package(task.workspace, task.path(FINETUNED), end.best)
        draw_curves(task.folder / "log.jsonl", task.folder / "loss.png", "Fine-tuning")
    return {
        "parameters": total,
        "learning": learning,
        "steps": end.step,
        "bits_per_byte": round(end.best, 4),
    }
