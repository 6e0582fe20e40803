"""Shards: the text for pretraining in parts of about a megabyte, each encoded by itself.

Stage 4 hands them to several processes, so what is needed there is kept light, and goes on after
the last shard it wrote when it was stopped. The same text makes the same shards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import Piece, piece
from pipeline.dialogue.template import END, Encoder, render
from pipeline.dialogue.turns import Turn

Conversations = tuple[list[Turn], ...]
Pieces = tuple[Piece, ...]
Shard = Conversations | Pieces
Part = TypeVar("Part", list[Turn], Piece)


@dataclass(frozen=True)
class Encoded:
    """The ids of a shard, the bytes of text behind them, and whether it was a chat."""

    ids: NDArray[Any]
    bytes: int
    chat: bool


def of_chat(conversations: Iterator[list[Turn]]) -> Iterator[Conversations]:
    """Whole conversations, as many as a megabyte of text has room for."""
    return _packed(conversations, _bytes)


def of_corpus(pieces: Iterator[Piece]) -> Iterator[Pieces]:
    """Pieces of text, small documents together, as many as a megabyte has room for."""
    return _packed(pieces, lambda part: len(part.text.encode()))


def _packed(parts: Iterator[Part], measure: Callable[[Part], int]) -> Iterator[tuple[Part, ...]]:
    group: list[Part] = []
    room = piece.SIZE
    for part in parts:
        size = measure(part)
        if group and size > room:
            yield tuple(group)
            group, room = [], piece.SIZE
        group.append(part)
        room -= size
    if group:
        yield tuple(group)


def encode(tokenizer: Encoder, dtype: str, shard: Shard) -> Encoded:
    """A chat's conversations as the template renders them, or plain text as it is."""
    ids: list[int] = []
    size, chat = 0, True
    for part in shard:
        if isinstance(part, Piece):
            chat = False
            ids += tokenizer.encode(part.text)
            ids += [tokenizer.special[END]] if part.ends_document else []
            size += len(part.text.encode())
        else:
            ids += render(part, tokenizer)[0]
            size += _bytes(part)
    return Encoded(np.array(ids, dtype), size, chat)


def _bytes(conversation: list[Turn]) -> int:
    return sum(turn.bytes for turn in conversation)
