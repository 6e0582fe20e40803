"""Stage 7: the decoder learns the persona's turns; ends with `model/`, all that chat.py needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import minbpe
from pipeline.dialogue.template import opening
from pipeline.evaluation.bits import Loss, measure, row_batches
from pipeline.files import read_jsonl
from pipeline.persona import persona_of
from pipeline.report.curves import draw_curves
from pipeline.runner import Task
from pipeline.serving.package import package
from pipeline.stages import CLEAN, DIALOGUES, FINETUNED, PRETRAINED, TOKENIZER
from pipeline.training import auto, lora, quantized, tune
from pipeline.training.arrays import ArrayFile
from pipeline.training.auto import Tuning
from pipeline.training.batches import Rows
from pipeline.training.device import prepare
from pipeline.training.fit import Parts, fit
from pipeline.training.plan import FitSettings, Progress
from pipeline.training.sample import sampler
from transformer.decoder import Decoder
from transformer.io import load, load_config, save

VALIDATION = 16_384  # tokens of validation that an evaluation reads, about


def run(task: Task) -> dict[str, Any]:
    """Fine-tune all weights or an adapter, keep the best by validation, and package the model."""
    with ArrayFile(task.path(DIALOGUES[0])) as train, ArrayFile(task.path(DIALOGUES[1])) as val:
        trainer = _Trainer(task, train, val)
        tuning = trainer.tuning()
        spent = 0.0
        if task.settings.finetune.tune:
            tuning, spent = tune.best(
                tuning, trainer.train, task.budget["minutes"], task.folder, task.key, task.screen
            )
        end = trainer.train(tuning, task.budget["minutes"] - spent, task.folder, task.key, True)
    if task.world.leads:
        if tuning.method != "full":
            _merge(task, tuning)
        package(task.workspace, task.path(FINETUNED), end.best)
        draw_curves(task.folder / "log.jsonl", task.folder / "loss.png", "Fine-tuning")
    return {
        "parameters": trainer.parameters,
        "learning": trainer.learning,
        "steps": end.step,
        "bits_per_byte": round(end.best, 4),
    }


class _Trainer:
    """Fine-tunes the pretrained model in one way or another."""

    parameters = learning = 0

    def __init__(self, task: Task, train: ArrayFile, val: ArrayFile) -> None:
        self.task, self.data, self.val = task, train, val
        self.tokenizer = minbpe.load(task.path(TOKENIZER))
        self.device = prepare(task.settings.train, task.world)
        self.persona = persona_of(task.workspace)

    def tuning(self) -> Tuning:
        """What the settings name, and for the rest what suits the base and the chat."""
        task, messages = self.task, _messages(self.task)
        if messages < auto.SMALL_ARCHIVE:
            task.screen.warn(
                f"only {messages:,} messages: expect the manner of writing more than its "
                "substance, and sentences of the chat repeated; more exports help most"
            )
        width = load_config(task.path(PRETRAINED)).width
        base = bool(task.settings.source.base)
        block = self.data.values.shape[2]
        return auto.tuning(task.settings.finetune, base, messages, width, block)

    def train(
        self, tuning: Tuning, minutes: float, folder: Path, key: str, keeps: bool = False
    ) -> Progress:
        """One fine-tuning from the pretrained model; `keeps` the best, or only measures."""
        task, settings = self.task, self.task.settings.finetune
        decoder, model, dtype = self._prepared(tuning)

        def keep(whole: Decoder) -> None:
            if not keeps:
                return
            if tuning.method == "full":
                save(whole, task.path(FINETUNED), dtype)
            else:
                lora.save_adapter(model, task.folder / "adapter")

        rows, text_bytes = _validation(self.val)

        def evaluate(objective: nn.Module) -> Loss:
            return measure(objective, row_batches(rows), text_bytes, task.world)

        opened = opening(self.persona, self.tokenizer)
        parts = Parts(
            model=decoder,
            data=Rows(self.data.values, task.settings.train.seed, tuning.batch),
            evaluate=evaluate,
            keep=keep,
            sample=sampler(decoder, self.tokenizer, opened),
        )
        fitting = FitSettings(
            name="finetune",
            key=key,
            minutes=minutes,
            epochs=task.budget["epochs"],
            passes=auto.FINETUNE_PASSES if task.settings.budget.minutes == "auto" else 0.0,
            batch=tuning.batch,
            accumulation=settings.accumulation,
            learning_rate=tuning.learning_rate,
            weight_decay=settings.weight_decay,
            patience=settings.patience,
            train=task.settings.train,
        )
        return fit(parts, fitting, folder, task.screen, task.world)

    def _prepared(self, tuning: Tuning) -> tuple[Decoder, Any, torch.dtype]:
        """The decoder, the model around it that learns, and the format it was saved in."""
        decoder = load(self.task.path(PRETRAINED)).to(self.device)
        dtype = decoder.tokens.weight.dtype
        self.parameters = sum(p.numel() for p in decoder.parameters())
        model: Any = FORMS[tuning.method](decoder)
        if tuning.method != "full":
            model = lora.adapted(decoder, tuning)
        self.learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
        if tuning.method != "full":
            self.parameters += self.learning
        self.task.screen.note(
            f"{tuning}: {self.learning:,} of {self.parameters:,} parameters learn "
            f"({self.learning / self.parameters:.2%})"
        )
        return decoder, model, dtype


def _packed(decoder: Decoder) -> Decoder:
    decoder.float()
    quantized.pack(decoder)
    return decoder


FORMS: dict[str, Callable[[Decoder], Decoder]] = {
    "full": lambda decoder: decoder.float(),
    "lora": lora.lean,
    "qlora": _packed,
}


def _validation(val: ArrayFile) -> tuple[Any, int]:
    """Rows of validation, evenly spread where there are very many, and the bytes they teach."""
    rows = val.values
    most = max(1, VALIDATION // rows.shape[2])
    if len(rows) <= most:
        return rows, val.info["bytes"]
    chosen = rows[[n * len(rows) // most for n in range(most)]]
    share = (chosen[:, 1] >= 0).sum() / max(1, (rows[:, 1] >= 0).sum())
    return chosen, round(val.info["bytes"] * share)


def _merge(task: Task, tuning: Tuning) -> None:
    """Add the adapter into the weights it learned beside."""
    base = load(task.path(PRETRAINED))
    dtype = base.tokens.weight.dtype
    base = quantized.rounded(base.float()) if tuning.method == "qlora" else base
    save(lora.merged(base, task.folder / "adapter"), task.path(FINETUNED), dtype)


def _messages(task: Task) -> int:
    """Messages of the chat, or dialogues where there is none."""
    ready = bool(task.settings.dialogues.source)
    path = task.path(DIALOGUES[0]).with_suffix(".jsonl") if ready else task.path(CLEAN)
    return sum(1 for _ in read_jsonl(path))
