"""One token through the whole decoder as a single launch: the fast road of a CUDA device.

A token is a few hundred kernels, and for small decoders starting them takes longer than they do. A
CUDA graph starts them all at once, but only with the same shapes in the same memory. The cache
gives both: its room is made by doubling, and stays where it is until then. So a token is computed
over all of the room, with a mask over what is not filled yet, and recorded anew when there is more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from transformer.attention import Grouped
from transformer.block import PreNorm
from transformer.cache import Cache
from transformer.decoder import Decoder
from transformer.kept import Kept, Tensors
from transformer.scores import Dense
from transformer.view import View

Work = Callable[[], Tensor]
Record = Callable[[Work], Work]


def graphed(decoder: Decoder) -> Graphed | None:
    """The fast road of a decoder on a CUDA device, or None where it has none.

    Make it again after the weights were moved or replaced.
    """
    on_cuda = {weight.device.type for weight in decoder.parameters()} == {"cuda"}
    return Graphed(decoder, recorded) if on_cuda and is_usual(decoder) else None


def is_usual(decoder: Decoder) -> bool:
    """Whether a token looks at its whole past, by softmax, unscored by distance and unwatched."""
    config = decoder.config
    return (
        (config.pattern, config.attention) == ("full", "grouped")
        and config.position != "relative"
        and not any(m._forward_hooks or m._forward_pre_hooks for m in decoder.modules())
    )


def recorded(work: Work) -> Work:
    """`work` as a CUDA graph, or as it is where it cannot be recorded."""
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        work()  # what is set up at the first time must not be recorded
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            result = work()
    except RuntimeError:
        return work

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


class _Static(NamedTuple):
    """Writes where a tensor says, and reads all of the room."""

    at: Tensor

    def __call__(self, kept: Kept, *new: Tensor) -> Tensors:
        for room, part in zip(kept.tensors, new, strict=True):
            room.index_copy_(2, self.at, part)
        return kept.tensors


class Graphed:
    """`graphed(id, cache)` gives the logits (1, V) after one more id."""

    def __init__(self, decoder: Decoder, record: Record) -> None:
        weight = decoder.tokens.weight
        self.decoder, self.record = decoder, record
        self.ids = torch.zeros(1, 1, dtype=torch.long, device=weight.device)
        self.at = torch.zeros(1, dtype=torch.long, device=weight.device)
        self.before = torch.zeros_like(self.ids).repeat(1, decoder.config.conv_kernel - 1)
        attention = cast(Grouped, cast(PreNorm, decoder.blocks[0]).attention)
        blank = weight.new_empty(1, attention.kv_heads, 1, attention.head_size)
        self.blank = (blank, blank)
        self.rooms: list[Tensors] = []
        self.replay: Work | None = None

    @torch.no_grad()
    def __call__(self, new: int, cache: Cache) -> Tensor:
        held, at = cache.held, cache.held.longest
        rooms = [kept.room(held.slots, at + 1, self.blank) for kept in cache.layers]
        self.ids.fill_(new)
        self.at.fill_(at)
        before = held.newest(self.before.size(1))
        self.before.fill_(-1) if before is None else self.before.copy_(before)
        if self.replay is None or any(a is not b for a, b in zip(rooms, self.rooms, strict=True)):
            self.replay = None  # its memory is free before the next one takes some
            self.rooms, self.replay = rooms, self.record(lambda: self._logits(cache))
        logits = self.replay().clone()
        cache.held = held.then(self.ids.clone(), 1)
        return logits

    def _logits(self, cache: Cache) -> Tensor:
        decoder, position = self.decoder, self.decoder.position
        slots = torch.arange(cache.layers[0].tensors[0].size(2), device=self.at.device)
        attend = Dense((slots <= self.at)[None], causal=False)
        keep: Any = _Static(self.at)
        view = View(0, self.at, None, position.rotate(self.at), keep, attend)
        x = decoder.embed(self.ids, self.at, self.before)
        for block, kept in zip(decoder.blocks, cache.layers, strict=True):
            x = block(x, view, kept)
        return decoder.head(decoder.norm(x)[:, -1])
