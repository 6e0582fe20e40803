"""Stage 6: build the fine-tuning set, readable (`.jsonl`) and ready for training (`.bin`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import minbpe
from pipeline import texts
from pipeline.dialogue import source
from pipeline.dialogue.thinning import thinned
from pipeline.dialogue.turns import Turn
from pipeline.dialogue.windows import BEFORE, MEASURED, Example, examples, padded
from pipeline.errors import DataError
from pipeline.files import read_json, write_jsonl
from pipeline.persona import persona_of
from pipeline.runner import Task
from pipeline.stages import DIALOGUES, PRETRAINED, TOKENIZER
from pipeline.training.arrays import writing

BLOCK = 512  # tokens in a window, where the model takes more


def run(task: Task) -> dict[str, Any]:
    """Write the examples of each part; returns how many, and how many turns they teach."""
    tokenizer = minbpe.load(task.path(TOKENIZER))
    most = int(read_json(task.path(f"{PRETRAINED}/config.json"))["block"])
    persona = persona_of(task.workspace)
    settings = task.settings.dialogues
    block = min(most, BLOCK if settings.block == "auto" else settings.block)
    parts = _parts(task, persona)
    counts: dict[str, Any] = {}
    for name in DIALOGUES:
        part = task.path(name).stem
        conversations = list(parts[part])
        everybody = settings.targets == "all"
        wanted = [[everybody or turn.speaker == persona for turn in c] for c in conversations]
        if part == "train" and settings.repeats:
            limit = None if settings.repeats == "auto" else settings.repeats
            wanted = thinned(conversations, wanted, limit)
        before = BEFORE if part == "train" else MEASURED
        found = [
            example
            for turns, learned in zip(conversations, wanted, strict=True)
            for example in examples(turns, tokenizer, learned, block, settings.windows, before)
        ]
        _write(task.path(name), found, block, settings.padding)
        counts[f"{part}_examples"] = len(found)
        counts[f"{part}_turns"] = sum(sum(example.learned) for example in found)
    if not counts["train_examples"]:
        raise DataError("There is no turn of the persona to learn from; see source.persona.")
    return counts


def _parts(task: Task, persona: str) -> dict[str, Iterable[list[Turn]]]:
    ready = task.settings.dialogues.source
    if ready:
        return dict(source.read(Path(ready), persona))
    return {p: texts.conversations(task.workspace, p) for p in ("train", "val", "test")}


def _write(path: Path, found: list[Example], block: int, side: str) -> None:
    with writing(path, "int32", (2, block)) as writer:
        for e in found:
            writer.append([padded(e.x, block, side), padded(e.y, block, side)])
        writer.info["bytes"] = sum(e.bytes for e in found)
    write_jsonl(path.with_suffix(".jsonl"), map(_readable, found))


def _readable(example: Example) -> dict[str, Any]:
    return {
        "turns": [
            {"speaker": turn.speaker, "text": turn.text, "learned": learned}
            for turn, learned in zip(example.turns, example.learned, strict=True)
        ],
        "bytes": example.bytes,
    }
