"""Shards: the text for pretraining in parts of about a megabyte, each encoded on its own.

Stage 4 encodes them in several processes, so this file imports little, and resumes after the last
shard that was written. The same text always makes the same shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import Piece
from pipeline.dialogue.template import Encoder, document_end, render
from pipeline.dialogue.turns import Turn

CHAT_BYTES = 1 << 20  # of text in a shard of the chat, approximately

Conversations = tuple[list[Turn], ...]
Shard = Conversations | Piece


@dataclass(frozen=True)
class EncodedShard:
    """The ids of a shard, the bytes of text behind them, and whether they are from the chat."""

    ids: NDArray[np.integer]
    bytes: int
    chat: bool


def chat_shards(conversations: Iterable[list[Turn]]) -> Iterator[Shard]:
    """Group whole conversations until they hold about a megabyte of text."""
    group: list[list[Turn]] = []
    size = 0
    for conversation in conversations:
        group.append(conversation)
        size += _text_bytes(conversation)
        if size >= CHAT_BYTES:
            yield tuple(group)
            group, size = [], 0
    if group:
        yield tuple(group)


def encode_shard(tokenizer: Encoder, dtype: str, shard: Shard) -> EncodedShard:
    """Encode conversations of the chat as the template renders them, or plain text as it is."""
    if isinstance(shard, Piece):
        end = document_end(tokenizer)
        ids = [i for text in shard.texts for i in (*tokenizer.encode(text), end)]
        if not shard.ends_document:
            ids.pop()
        size = sum(len(text.encode()) for text in shard.texts)
        return EncodedShard(np.array(ids, dtype), size, chat=False)
    ids = [i for conversation in shard for i in render(conversation, tokenizer)[0]]
    return EncodedShard(np.array(ids, dtype), sum(map(_text_bytes, shard)), chat=True)


def _text_bytes(conversation: list[Turn]) -> int:
    return sum(turn.bytes for turn in conversation)
