"""One token through the whole decoder as a single launch: the fast path of a CUDA device.

A token is a few hundred kernels, and for small decoders starting them takes longer than running
them. A CUDA graph starts them all at once, but only with the same shapes in the same memory. The
cache gives both: its buffers grow by doubling, and stay where they are until then. So a token is
computed over the whole buffers, with a mask over what is not filled yet, and the graph is recorded
again when the buffers have grown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor

from transformer.attention import GroupedQueryAttention
from transformer.attention_plan import AttentionPlan
from transformer.block import PreNorm
from transformer.cache import Cache, LayerKVCache, Tensors, Write
from transformer.decoder import Decoder
from transformer.softmax import DenseAttention

Work = Callable[[], Tensor]
Record = Callable[[Work], Work]


def cuda_graph_step(decoder: Decoder) -> CudaGraphStep | None:
    """The fast path of a decoder on a CUDA device, or None where it has none.

    Create it again after the weights were moved or replaced.
    """
    on_cuda = {weight.device.type for weight in decoder.parameters()} == {"cuda"}
    return CudaGraphStep(decoder, record_graph) if on_cuda and is_supported(decoder) else None


def is_supported(decoder: Decoder) -> bool:
    """Whether each token attends to its whole past by softmax, with no bias and no hooks."""
    config = decoder.config
    layers = [config.layer(index) for index in range(config.layers)]
    return (
        {(layer.pattern, layer.attention) for layer in layers} == {("full", "grouped")}
        and all(layer.position != "relative" for layer in layers)
        and not any(m._forward_hooks or m._forward_pre_hooks for m in decoder.modules())
    )


def record_graph(work: Work) -> Work:
    """`work` as a CUDA graph, or as it is where it cannot be recorded."""
    side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream):
        work()  # what is set up at the first call must not be recorded
    torch.cuda.current_stream().wait_stream(side_stream)
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


class _WriteAt(NamedTuple):
    """Writes at the slot that a tensor holds, and reads the whole buffers."""

    position: Tensor

    def __call__(self, layer: LayerKVCache, *new: Tensor) -> Tensors:
        for buffer, part in zip(layer.tensors, new, strict=True):
            buffer.index_copy_(2, self.position, part)
        return layer.tensors


class CudaGraphStep:
    """`step(id, cache)` returns the logits (1, V) after one more id."""

    def __init__(self, decoder: Decoder, record: Record) -> None:
        weight = decoder.tokens.weight
        self.decoder, self.record = decoder, record
        self.ids = torch.zeros(1, 1, dtype=torch.long, device=weight.device)
        self.position = torch.zeros(1, dtype=torch.long, device=weight.device)
        self.previous = torch.zeros_like(self.ids).repeat(1, decoder.config.conv_kernel - 1)
        attention = cast(GroupedQueryAttention, cast(PreNorm, decoder.blocks[0]).attention)
        like = weight.new_empty(1, attention.kv_heads, 1, attention.head_size)
        self.like = (like, like)  # keys and values of one token
        self.buffers: list[Tensors] = []
        self.replay: Work | None = None

    @torch.no_grad()
    def __call__(self, new: int, cache: Cache) -> Tensor:
        state, position = cache.state, cache.state.longest
        buffers = [
            layer.ensure_capacity(state.slots, position + 1, self.like) for layer in cache.layers
        ]
        self.ids.fill_(new)
        self.position.fill_(position)
        previous = state.last_ids(self.previous.size(1))
        self.previous.fill_(-1) if previous is None else self.previous.copy_(previous)
        same = len(buffers) == len(self.buffers) and all(
            a is b for a, b in zip(buffers, self.buffers, strict=True)
        )
        if self.replay is None or not same:
            self.replay = None  # its memory is free before the next one takes some
            self.buffers, self.replay = buffers, self.record(lambda: self._logits(cache))
        logits = self.replay().clone()
        cache.state = state.extended(self.ids.clone(), 1)
        return logits

    def _logits(self, cache: Cache) -> Tensor:
        decoder = self.decoder
        slots = torch.arange(cache.layers[0].tensors[0].size(2), device=self.position.device)
        attend = DenseAttention((slots <= self.position)[None], causal=False)
        write = cast(Write, _WriteAt(self.position))
        positions = map(decoder.position_of, range(len(decoder.patterns)))
        plans = [
            AttentionPlan(0, self.position, None, position.rotate(self.position), write, attend)
            for position in positions
        ]
        kinds = decoder.kind_of_layer
        x = decoder.embed(self.ids, self.position, self.previous)
        for block, kind, layer_cache in zip(decoder.blocks, kinds, cache.layers, strict=True):
            x = block(x, plans[kind], layer_cache)
        return decoder.head(decoder.norm(x)[:, -1])
