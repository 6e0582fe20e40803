"""Stage 8: how well the model predicts, and how it sounds, on what it was never trained on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bits import measure, row_losses, windows
from pipeline.evaluation.samples import Exchange, prompts, write_samples
from pipeline.evaluation.scores import FEW, ratio_interval, score
from pipeline.files import read_jsonl, write_json
from pipeline.runner import Task
from pipeline.serving.session import Session
from pipeline.stages import DIALOGUE_TEXTS, DIALOGUES, ENCODED, MODEL, PRETRAINED
from pipeline.training.arrays import ArrayFile
from pipeline.training.device import prepare
from transformer.decoder import Decoder
from transformer.io import load

SCORES, SAMPLES = "8_evaluation/scores.json", "8_evaluation/samples.md"


def run(task: Task) -> dict[str, Any]:
    """Write `scores.json` and `samples.md`."""
    device = prepare(task.settings.train, task.world)
    base = load(task.path(PRETRAINED)).to(device)
    scores = {"language_bits_per_byte": _language(task, base)}
    exchanges: list[Exchange] = []
    persona = "The corpus"
    if task.path(MODEL).exists():
        session = Session(task.path(MODEL), seed=task.settings.train.seed)
        persona = session.persona
        scores |= _replies(task, session.decoder.to(device), base)
        session.decoder.to("cpu")
        exchanges = _exchanges(task, session)
    write_json(task.path(SCORES), scores)
    write_samples(task.path(SAMPLES), persona, exchanges)
    found = {name: s["value"] for name, s in scores.items() if s["value"] is not None}
    return {**found, "samples": len(exchanges)}


def _language(task: Task, base: Decoder) -> dict[str, Any]:
    """Bits per byte of everybody's text: the test part, or validation where there is none."""
    with ArrayFile(task.path(ENCODED[2])) as part:
        name = ENCODED[2] if len(part) > 1 or task.settings.source.export else ENCODED[1]
    with ArrayFile(task.path(name)) as part:
        if len(part) < 2:
            return score(None, note=f"{name} is empty")
        loss = measure(base, windows(part.values, base.config.block), part.info["bytes"])
    return score(loss.bits_per_byte, n=loss.targets, note=f"stage 5's model on {name}")


def _replies(task: Task, model: Decoder, base: Decoder) -> dict[str, Any]:
    """The persona's own test replies under the fine-tuned model; floor: before fine-tuning."""
    with ArrayFile(task.path(DIALOGUES[2])) as part:
        if not len(part):
            why = "the test part holds no reply of the persona"
            return {name: score(None, note=why) for name in ("bits_per_byte", "loss")}
        nats, targets = row_losses(model, part.values)
        before, _ = row_losses(base, part.values)
    rows = list(read_jsonl(task.path(DIALOGUE_TEXTS[2])))
    sizes = np.array([row["bytes"] for row in rows], dtype=np.float64)
    turns = sum(t["learned"] for row in rows for t in row["turns"])
    rough = f"only {turns} replies: rough; " if turns < FEW else ""

    def figure(top: NDArray[np.float64], bottom: NDArray[np.float64], note: str) -> dict[str, Any]:
        low, high = ratio_interval(top, bottom, task.settings.train.seed)
        floor = before.sum() * (top.sum() / nats.sum()) / bottom.sum()
        value = top.sum() / bottom.sum()
        return score(value, low=low, high=high, floor=floor, n=turns, note=rough + note)

    return {
        "bits_per_byte": figure(nats / math.log(2), sizes, "floor: before fine-tuning"),
        "loss": figure(nats, targets, "nats per token; floor: before fine-tuning"),
    }


def _exchanges(task: Task, session: Session) -> list[Exchange]:
    found = prompts(read_jsonl(task.path(DIALOGUE_TEXTS[2])), task.settings.evaluate.prompts)
    exchanges = []
    with task.screen.bar("answering", len(found), count=True) as bar:
        for number, (before, real) in enumerate(found, 1):
            session.reset()
            for turn in before:
                session.hear(turn)
            exchanges.append(Exchange(before, real, "".join(session.answer())))
            bar.to(number)
    return exchanges
