"""Fine-tuning the pretrained model on rows of dialogue, in whatever way: what stage 7 does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import minbpe
from pipeline.common.files import read_jsonl
from pipeline.dialogue.people import People, persona_of
from pipeline.dialogue.template import opening
from pipeline.stages.runner import Task
from pipeline.training import auto
from pipeline.training.adapters import lora, nf4
from pipeline.training.auto import Tuning
from pipeline.training.batches import Rows
from pipeline.training.hardware.device import prepare
from pipeline.training.loop import Parts, fit
from pipeline.training.memmap import ArrayFile
from pipeline.training.preview import sampler
from pipeline.training.progress import FitSettings, Progress
from pipeline.training.validation import UNCHECKED, Loss, measure, row_batches
from pipeline.workspace.stages import DIALOGUES, PRETRAINED, TOKENIZER
from transformer.decoder import Decoder
from transformer.io import load, load_config, save

VALIDATION = 16_384  # tokens of validation that an evaluation reads, about

ADAPTER, BEST = "adapter", "best"  # in a place where the best is kept


class Trainer:
    """Fine-tunes the pretrained model of a workspace in one way or another, on `rows`."""

    parameters = learning = 0
    dtype = torch.float32

    def __init__(self, task: Task, rows: NDArray[np.integer], val: ArrayFile) -> None:
        self.task, self.rows, self.val = task, rows, val
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
        block = self.rows.shape[2]
        return auto.tuning(task.settings.finetune, base, messages, width, block)

    def train(
        self, tuning: Tuning, minutes: float, folder: Path, key: str, keeps: bool = False
    ) -> Progress:
        """One fine-tuning from the pretrained model, which `keeps` the best or only measures."""
        began = time.monotonic()
        task, settings = self.task, self.task.settings.finetune
        decoder, model = self._prepared(tuning)

        def keep(whole: Decoder) -> None:
            if keeps and tuning.method == "full":
                save(whole, folder / BEST, self.dtype)
            elif keeps:
                lora.save_adapter(model, folder / ADAPTER)

        rows, text_bytes = self._validation()

        def evaluate(objective: nn.Module) -> Loss:
            return measure(objective, row_batches(rows), text_bytes, task.world)

        opened = opening(self.persona, self.tokenizer)
        parts = Parts(
            model=decoder,
            device=self.device,
            data=Rows(self.rows, task.settings.train.seed, tuning.batch),
            evaluate=evaluate,
            keep=keep,
            sample=sampler(decoder, self.tokenizer, opened),
        )
        fitting = FitSettings(
            name="finetune",
            key=key,
            minutes=minutes,
            epochs=task.budget["epochs"] * minutes / task.budget["minutes"],
            passes=auto.FINETUNE_PASSES if task.settings.budget.minutes == "auto" else 0.0,
            batch=tuning.batch,
            accumulation=settings.accumulation,
            learning_rate=tuning.learning_rate,
            weight_decay=settings.weight_decay,
            patience=settings.patience,
            train=task.settings.train,
        )
        return fit(parts, fitting, folder, task.screen, task.world, began)

    def _validation(self) -> tuple[Any, int]:
        """Rows to validate with, evenly spread where there are very many, and the bytes they teach.

        A chat so small that it has none is validated with what it learns.
        """
        rows, text_bytes = self.val.values, self.val.info["bytes"]
        if not len(rows):
            self.task.screen.warn(UNCHECKED)
            with ArrayFile(self.task.path(DIALOGUES[0])) as train:
                rows, text_bytes = self.rows, train.info["bytes"]
        most = max(1, VALIDATION // rows.shape[2])
        if len(rows) <= most:
            return rows, text_bytes
        chosen = rows[[n * len(rows) // most for n in range(most)]]
        share = (chosen[:, 1] >= 0).sum() / max(1, (rows[:, 1] >= 0).sum())
        return chosen, max(1, round(text_bytes * share))

    def _prepared(self, tuning: Tuning) -> tuple[Decoder, Any]:
        """The decoder, and the model around it that learns."""
        decoder = load(self.task.path(PRETRAINED))
        self.dtype = decoder.tokens.weight.dtype  # as it was saved
        self.parameters = sum(p.numel() for p in decoder.parameters())
        model: Any = FORMS[tuning.method](decoder, self.device)
        if tuning.method != "full":
            torch.manual_seed(self.task.settings.train.seed)  # which peft draws the weights from
            model = lora.adapted(decoder, tuning)
        self.learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
        if tuning.method != "full":
            self.parameters += self.learning
        self.task.screen.note(
            f"{tuning}: {self.learning:,} of {self.parameters:,} parameters learn "
            f"({self.learning / self.parameters:.2%})"
        )
        return decoder, model

    def merge(self, tuning: Tuning, folder: Path) -> None:
        """Add an adapter into the weights it learned beside; a whole model is whole already."""
        if tuning.method == "full":
            return
        decoder = load(self.task.path(PRETRAINED))
        if tuning.method == "qlora":
            decoder = nf4.rounded(decoder.float(), self.device)
        save(lora.merged(decoder, folder / ADAPTER), folder / BEST, self.dtype)


def _packed(decoder: Decoder, device: torch.device) -> Decoder:
    nf4.pack(decoder, device)
    return decoder.float().to(device)


# Made on the CPU, so that a device holds the weights in their form alone; a model that learns whole
# stays there, since of several processes each may take but a share of it to its device.
FORMS: dict[str, Callable[[Decoder, torch.device], Decoder]] = {
    "full": lambda decoder, device: decoder.float(),
    "lora": lambda decoder, device: lora.lean(decoder).to(device),
    "qlora": _packed,
}


def _messages(task: Task) -> int:
    """Messages of the chat, or dialogues where there is none."""
    if task.settings.dialogues.source:
        return sum(1 for _ in read_jsonl(task.path(DIALOGUES[0]).with_suffix(".jsonl")))
    return People.read(task.workspace).messages
