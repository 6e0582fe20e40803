"""A small chat with steady habits, and settings under which everything takes seconds."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from pipeline.training.state import FitSettings
from pipeline.workspace.settings import Train

SMALL = [
    word
    for setting in (
        "model.layers=1",
        "model.width=16",
        "model.heads=2",
        "model.kv_heads=1",
        "model.block=64",
        "train.precision=float32",
        "train.device=cpu",
        "train.threads=1",
        "pretrain.batch=16",
        "finetune.batch=16",
        "pretrain.learning_rate=0.01",
        "budget.epochs=1",
        "evaluate.prompts=3",
        "evaluate.replies=40",
        "chat.max_tokens=12",
    )
    for word in ("--set", setting)
]


SIZES = {  # of patterns, small enough that ten tokens show them
    "full": {},
    "local": {"window": 3},
    "dilated": {"window": 3, "dilation": 2},
    "chunked": {"window": 4},
    "global_local": {"window": 3, "global_tokens": 2},
    "bigbird": {"window": 3, "global_tokens": 2, "random_blocks": 2, "pattern_block": 2},
}


def fit_settings(**changes: object) -> FitSettings:
    """A training of a pass over very little, with some things changed."""
    usual = FitSettings(
        name="pretrain",
        key="k",
        minutes=1.0,
        epochs=1.0,
        batch=4,
        accumulation=1,
        learning_rate=3e-3,
        weight_decay=0.1,
        patience=0,
        train=Train(device="cpu", threads=1),
    )
    return replace(usual, **changes)


def chat_lines(conversations: int, per_conversation: int = 12, start_day: int = 0) -> str:
    """An Android export of two people, one conversation a day."""
    lines = []
    for day in range(start_day, start_day + conversations):
        time = datetime(2024, 1, 1, 9, 0) + timedelta(days=day)
        for n in range(per_conversation):
            who = ("Ana", "Ben", "Ben")[n % 3]
            said = {
                "Ana": f"good morning ben, is it {day} or {n} today?",
                "Ben": f"no idea lol, maybe {day + n}",
            }[who]
            stamp = (time + timedelta(minutes=n)).strftime("%d/%m/%Y, %H:%M")
            lines.append(f"{stamp} - {who}: {said}\n")
    return "".join(lines)
