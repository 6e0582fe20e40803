"""Stage 7: the decoder learns the persona's turns; ends with `model/`, all that chat.py needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import minbpe
from pipeline.common.files import read_jsonl
from pipeline.dialogue.people import People, persona_of
from pipeline.dialogue.template import opening
from pipeline.report.pictures import draw_curves
from pipeline.stages.package import package
from pipeline.stages.runner import Task
from pipeline.training import auto
from pipeline.training.adapters import lora, nf4, search
from pipeline.training.auto import Tuning
from pipeline.training.batches import Rows
from pipeline.training.checkpoints import LOG
from pipeline.training.hardware.device import prepare
from pipeline.training.live_view import sampler
from pipeline.training.loop import fit
from pipeline.training.memmap import ArrayFile
from pipeline.training.state import FitSettings, Parts, TrainState
from pipeline.training.validation import UNCHECKED, Loss, measure, row_batches
from pipeline.workspace.stages import DIALOGUES, FINETUNED, PRETRAINED, TOKENIZER
from transformer.decoder import Decoder
from transformer.io import load, load_config, save

if TYPE_CHECKING:
    from peft import PeftModel

VALIDATION_TOKENS = 16_384  # that an evaluation reads, about

ADAPTER, BEST = "adapter", "best"  # in a folder where the best is kept


def run(task: Task) -> dict[str, Any]:
    """Fine-tune all weights or an adapter, keep the best by validation, and package the model."""
    with ArrayFile(task.path(DIALOGUES[0])) as train, ArrayFile(task.path(DIALOGUES[1])) as val:
        trainer = Trainer(task, train.values, val)
        tuning, minutes, key = trainer.tuning(), task.budget["minutes"], task.key
        if task.settings.finetune.tune:
            trials = search.Trials(trainer.train, task.folder, task.key, task.screen, task.world)
            tuning, spent = trials.best(tuning, minutes)
            minutes, key = minutes - spent, f"{task.key} {tuning}"
        end = trainer.train(tuning, minutes, task.folder, key, keeps=True)
    bits_per_byte = end.best.bits_per_byte
    if task.world.leads:
        trainer.merge(tuning, task.folder)
        package(task.workspace, task.path(FINETUNED), bits_per_byte, trainer.rows.shape[2])
        draw_curves(task.folder / LOG, task.folder / "loss.png", "Fine-tuning")
    return {
        "parameters": trainer.parameters,
        "learning": trainer.learning,
        "steps": end.step,
        "bits_per_byte": round(bits_per_byte, 4),
    }


class Trainer:
    """Fine-tunes the pretrained model of a workspace on rows of dialogue."""

    parameters = learning = 0
    dtype = torch.float32

    def __init__(self, task: Task, rows: NDArray[np.integer], val: ArrayFile) -> None:
        self.task, self.rows, self.val = task, rows, val
        self.tokenizer = minbpe.load(task.path(TOKENIZER))
        self.device = prepare(task.settings.train, task.world)
        self.persona = persona_of(task.workspace)

    def tuning(self) -> Tuning:
        """What the settings name, and for the rest what suits the base and the chat."""
        task, messages = self.task, _count_messages(self.task)
        if messages < auto.SMALL_ARCHIVE:
            task.screen.warn(
                f"only {messages:,} messages: expect the manner of writing more than its "
                "substance, and sentences of the chat repeated; more exports help most"
            )
        width = load_config(task.path(PRETRAINED)).width
        base = bool(task.settings.source.base)
        return auto.tuning(task.settings.finetune, base, messages, width, self.rows.shape[2])

    def train(
        self, tuning: Tuning, minutes: float, folder: Path, key: str, keeps: bool = False
    ) -> TrainState:
        """Fine-tune the pretrained model once; `keeps` the best, or only measures it."""
        started = time.monotonic()
        task, settings = self.task, self.task.settings.finetune
        decoder, adapted = self._prepare(tuning)

        def keep(whole: Decoder) -> None:
            if keeps and adapted is None:
                save(whole, folder / BEST, self.dtype)
            elif adapted is not None and keeps:
                lora.save_adapter(adapted, folder / ADAPTER)

        rows, text_bytes = self._validation_rows()

        def evaluate(objective: nn.Module) -> Loss:
            return measure(objective, row_batches(rows), text_bytes, task.world)

        parts = Parts(
            model=decoder,
            device=self.device,
            data=Rows(self.rows, task.settings.train.seed, tuning.batch),
            evaluate=evaluate,
            keep=keep,
            sample=sampler(decoder, self.tokenizer, opening(self.persona, self.tokenizer)),
        )
        fit_settings = FitSettings(
            name="finetune",
            key=key,
            minutes=minutes,
            epochs=task.budget["epochs"] * minutes / task.budget["minutes"],
            max_epochs=auto.FINETUNE_EPOCHS if task.settings.budget.minutes == "auto" else 0.0,
            batch=tuning.batch,
            accumulation=settings.accumulation,
            learning_rate=tuning.learning_rate,
            weight_decay=settings.weight_decay,
            patience=settings.patience,
            train=task.settings.train,
        )
        return fit(parts, fit_settings, folder, task.screen, task.world, started)

    def _validation_rows(self) -> tuple[NDArray[np.integer], int]:
        """Rows to validate with, evenly spread where there are many, and the bytes they teach.

        A chat so small that it has none is validated with what it learns from.
        """
        rows, text_bytes = self.val.values, self.val.info["bytes"]
        if not len(rows):
            self.task.screen.warn(UNCHECKED)
            with ArrayFile(self.task.path(DIALOGUES[0])) as train:
                rows, text_bytes = self.rows, train.info["bytes"]
        limit = max(1, VALIDATION_TOKENS // rows.shape[2])
        if len(rows) <= limit:
            return rows, text_bytes
        chosen = rows[[n * len(rows) // limit for n in range(limit)]]
        share = (chosen[:, 1] >= 0).sum() / max(1, (rows[:, 1] >= 0).sum())
        return chosen, max(1, round(text_bytes * share))

    def _prepare(self, tuning: Tuning) -> tuple[Decoder, PeftModel | None]:
        """The decoder, and the adapted model around it, if any."""
        decoder = load(self.task.path(PRETRAINED))
        self.dtype = decoder.tokens.weight.dtype  # as it was saved
        self.parameters = sum(p.numel() for p in decoder.parameters())
        decoder, adapted = FORMS[tuning.method](decoder, self.device), None
        if tuning.method != "full":
            torch.manual_seed(self.task.settings.train.seed)  # peft draws the weights from it
            adapted = lora.adapted(decoder, tuning)
        self.learning = sum(p.numel() for p in decoder.parameters() if p.requires_grad)
        if adapted is not None:
            self.parameters += self.learning
        self.task.screen.note(
            f"{tuning}: {self.learning:,} of {self.parameters:,} parameters learn "
            f"({self.learning / self.parameters:.2%})"
        )
        return decoder, adapted

    def merge(self, tuning: Tuning, folder: Path) -> None:
        """Add an adapter to the weights beside which it learned; a whole model is whole already."""
        if tuning.method == "full":
            return
        decoder = load(self.task.path(PRETRAINED))
        if tuning.method == "qlora":
            decoder = nf4.rounded(decoder.float(), self.device)
        save(lora.merged(decoder, folder / ADAPTER), folder / BEST, self.dtype)


def _packed(decoder: Decoder, device: torch.device) -> Decoder:
    nf4.pack(decoder, device)
    return decoder.float().to(device)


# Made on the CPU, so that a device holds the weights in this form alone. A model that learns whole
# stays there, since each of several processes may take only its share of it to its device.
FORMS: dict[str, Callable[[Decoder, torch.device], Decoder]] = {
    "full": lambda decoder, device: decoder.float(),
    "lora": lambda decoder, device: lora.lean(decoder).to(device),
    "qlora": _packed,
}


def _count_messages(task: Task) -> int:
    """Messages of the chat, or dialogues where there is none."""
    if task.settings.dialogues.source:
        return sum(1 for _ in read_jsonl(task.path(DIALOGUES[0]).with_suffix(".jsonl")))
    return People.read(task.workspace).messages
