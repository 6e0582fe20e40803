"""Stage 4: turn the text into memory-mapped ids, as a stream."""

from __future__ import annotations

from typing import Any

import minbpe
from minbpe.base import Tokenizer
from pipeline import texts
from pipeline.dialogue.template import END, render
from pipeline.errors import DataError
from pipeline.runner import Task
from pipeline.screen import Bar
from pipeline.stages import ENCODED, TOKENIZER
from pipeline.training.arrays import Writer, writing

SMALL = 1 << 16


def run(task: Task) -> dict[str, Any]:
    """Write `train.bin`, `val.bin` and `test.bin`; returns the tokens in each."""
    tokenizer = minbpe.load(task.path(TOKENIZER))
    dtype = "uint16" if tokenizer.size <= SMALL else "uint32"
    counts: dict[str, Any] = {}
    with task.screen.bar("encoding bytes", None) as bar:
        for name in ENCODED:
            part = task.path(name).stem
            with writing(task.path(name), dtype) as writer:
                _encode(task, part, tokenizer, writer, bar)
            counts[f"{part}_tokens"] = writer.count
            counts[f"{part}_bytes"] = writer.info["bytes"]
    if not counts["train_tokens"]:
        raise DataError("There is no text to train on; give --export or --corpus.")
    return counts


def _encode(task: Task, part: str, tokenizer: Tokenizer, writer: Writer, bar: Bar) -> None:
    size = 0
    for conversation in texts.conversations(task.workspace, part):
        ids, _ = render(conversation, tokenizer)
        writer.append(ids)
        size += sum(turn.bytes for turn in conversation)
        bar.to(size)
    for piece in texts.corpus(task.workspace, part):
        writer.append(tokenizer.encode(piece.text))
        if piece.ends_document:
            writer.append([tokenizer.special[END]])
        size += len(piece.text.encode())
        bar.to(size)
    writer.info["bytes"] = size
