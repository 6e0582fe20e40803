"""Stage 4: turn the text into memory-mapped ids, on all processor cores, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain, islice
from typing import Any

import minbpe
from minbpe.codec import bulk, id_type
from minbpe.parallel import spread
from pipeline import shards, texts
from pipeline.corpus import Corpus, Part
from pipeline.errors import DataError
from pipeline.runner import Task
from pipeline.shards import Shard
from pipeline.stages import ENCODED, TOKENIZER
from pipeline.training.arrays import Resumable, resumable

COUNTED = ("bytes", "chat_tokens", "chat_bytes")  # beside each file's ids


def run(task: Task) -> dict[str, Any]:
    """Write `train.bin`, `val.bin` and `test.bin`, chat first; returns the tokens in each.

    A run that was stopped goes on after the last whole shard, as long as text and tokenizer are
    the same.
    """
    tokenizer = minbpe.load(task.path(TOKENIZER))
    dtype = id_type(tokenizer).name
    encode = partial(shards.encode, bulk(tokenizer), dtype)
    corpus = texts.corpus(task.workspace)
    counts: dict[str, Any] = {}
    with ExitStack() as stack:
        writers = {
            part: stack.enter_context(resumable(task.path(name), dtype, task.key))
            for part, name in zip(texts.PARTS, ENCODED, strict=True)
        }
        _tell(task, sum(writer.shards for writer in writers.values()))
        bar = stack.enter_context(task.screen.bar("reading the text", None))
        total = texts.size(task.workspace)
        if corpus.files:
            task.screen.note(corpus.told())
        bar.begin("encoding bytes", total)
        done = 0
        for part, writer in writers.items():
            info = writer.info = {**dict.fromkeys(COUNTED, 0), **writer.info}
            bar.to(done + info["bytes"])
            for found in spread(encode, _left(task, corpus, part, writer)):
                writer.append(found.ids)
                info["bytes"] += found.bytes
                if found.chat:
                    info["chat_tokens"] = writer.count
                    info["chat_bytes"] += found.bytes
                writer.commit()
                bar.to(done + info["bytes"])
            done += info["bytes"]
            counts[f"{part}_tokens"] = writer.count
            counts[f"{part}_bytes"] = info["bytes"]
    if not counts["train_tokens"]:
        raise DataError(
            "There is no text to train on; give --export or --corpus (a table as a corpus needs "
            "two rows with text, of which one is validation)."
        )
    return counts


def _left(task: Task, corpus: Corpus, part: Part, writer: Resumable) -> Iterator[Shard]:
    """The shards of a part that are not written yet."""
    chat: Iterator[Shard] = shards.of_chat(texts.conversations(task.workspace, part))
    return islice(chain(chat, shards.of_corpus(corpus.pieces(part))), writer.shards, None)


def _tell(task: Task, kept: int) -> None:
    if kept:
        task.screen.note(f"going on after {kept:,} shards of an earlier run")
