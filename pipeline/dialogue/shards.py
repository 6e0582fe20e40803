"""Shards: the text for pretraining in parts of about a megabyte, each encoded by itself.

Stage 4 hands them to several processes, so what is needed there is kept light, and goes on after
the last shard it wrote when it was stopped. The same text makes the same shards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import Piece
from pipeline.dialogue.template import Encoder, document_end, render
from pipeline.dialogue.turns import Turn

PIECE = 1 << 20  # bytes of text in a shard of the chat, about

Conversations = tuple[list[Turn], ...]
Shard = Conversations | Piece


@dataclass(frozen=True)
class Encoded:
    """The ids of a shard, the bytes of text behind them, and whether they are the chat's."""

    ids: NDArray[Any]
    bytes: int
    chat: bool


def of_chat(conversations: Iterator[list[Turn]]) -> Iterator[Shard]:
    """Whole conversations, so many that they hold a megabyte of text."""
    group: list[list[Turn]] = []
    size = 0
    for conversation in conversations:
        group.append(conversation)
        size += _bytes(conversation)
        if size >= PIECE:
            yield tuple(group)
            group, size = [], 0
    if group:
        yield tuple(group)


def encode(tokenizer: Encoder, dtype: str, shard: Shard) -> Encoded:
    """A chat's conversations as the template renders them, or plain text as it is."""
    if isinstance(shard, Piece):
        end = document_end(tokenizer)
        ids = [i for text in shard.texts for i in (*tokenizer.encode(text), end)]
        if not shard.ends_document:
            ids.pop()
        return Encoded(np.array(ids, dtype), sum(len(t.encode()) for t in shard.texts), False)
    ids = [i for conversation in shard for i in render(conversation, tokenizer)[0]]
    return Encoded(np.array(ids, dtype), sum(map(_bytes, shard)), True)


def _bytes(conversation: list[Turn]) -> int:
    return sum(turn.bytes for turn in conversation)
