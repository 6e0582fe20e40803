"""Stage 4: turn the text into memory-mapped ids, on all processor cores, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain, islice

import minbpe
from minbpe.encoder import id_type, with_tiktoken
from minbpe.parallel import parallel_map
from pipeline.common.errors import DataError
from pipeline.common.split_names import SPLITS, Split
from pipeline.dialogue import shards, training_text
from pipeline.stages.runner import Task
from pipeline.training.memmap import Resumable, resumable
from pipeline.workspace.record import Counts
from pipeline.workspace.stages import ENCODED, TOKENIZER, by_name


def run(task: Task) -> Counts:
    """Write `train.bin`, `val.bin` and `test.bin`; returns the tokens in each.

    A run that was stopped goes on after the last whole shard, as long as text and tokenizer are
    the same.
    """
    tokenizer = minbpe.load(task.path(TOKENIZER))
    dtype = id_type(tokenizer)
    encode = partial(shards.encode_shard, with_tiktoken(tokenizer), dtype)
    counts: Counts = {}
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(resumable(task.path(name), dtype, task.key))
            for split, name in zip(SPLITS, ENCODED, strict=True)
        }
        _tell_state(task, sum(writer.shards for writer in writers.values()))
        size = training_text.size(task.workspace)
        bar = stack.enter_context(task.screen.bar("encoding bytes", size))
        done = 0
        for split, writer in writers.items():
            for name in ("bytes", "chat_tokens", "chat_bytes"):
                writer.info.setdefault(name, 0)
            bar.to(done + writer.info["bytes"])
            for encoded in parallel_map(encode, _left(task, split, writer)):
                writer.append(encoded.ids)
                writer.info["bytes"] += encoded.bytes
                if encoded.chat:  # it comes first
                    writer.info["chat_tokens"] += len(encoded.ids)
                    writer.info["chat_bytes"] += encoded.bytes
                writer.commit()
                bar.to(done + writer.info["bytes"])
            done += writer.info["bytes"]
            counts[f"{split}_tokens"] = writer.count
            counts[f"{split}_bytes"] = writer.info["bytes"]
    if not counts["train_tokens"] and not task.workspace.uses_base_weights(by_name("pretrain")):
        raise DataError(
            "There is no text to train on; give --export or --corpus (a corpus of rows needs at "
            "least two: the last is validation)."
        )
    return counts


def _left(task: Task, split: Split, writer: Resumable) -> Iterator[shards.Shard]:
    """The shards of a split that are not written yet."""
    chat = shards.chat_shards(training_text.conversations(task.workspace, split))
    return islice(chain(chat, training_text.pieces(task.workspace, split)), writer.shards, None)


def _tell_state(task: Task, done: int) -> None:
    if splits := training_text.describe_splits(task.workspace):
        task.screen.note(f"files of the corpus, by their names: {splits}")
    if done:
        task.screen.note(f"going on after {done:,} shards of an earlier run")
