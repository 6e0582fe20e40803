"""One token through the whole decoder in compiled loops: the fast path of a conversation.

It computes what `Decoder.hidden` and `head` compute for the next token of a single row, and shares
their cache, so that both can take turns. Only common decoders have this path (softmax attention
over the whole past or a window, norms before the branches), and only on the CPU; all others take
the eager one.
"""

from __future__ import annotations

import math
from typing import cast

import numba
import numpy as np
import torch
from torch import Tensor, nn

from transformer.attention import GroupedQueryAttention
from transformer.block import FeedForward, GatedFeedForward, PreNorm, SandwichNorm
from transformer.cache import Cache, LayerKVCache, Tensors
from transformer.config import ModelConfig
from transformer.decoder import Decoder, EmbeddingConvolution
from transformer.fast import kernels
from transformer.fast.kernels import Floats, Stored
from transformer.layers import CenteredRMSNorm, Linear, QKNorm, RMSNorm
from transformer.patterns import Local, Pattern
from transformer.positions import Learned, NoPosition, Rope, Sinusoidal

# A decoder of other parts (another mixer, a norm with a memory, an adapter) is not supported, nor
# is one with forward hooks.
SUPPORTED: frozenset[type[nn.Module]] = frozenset(
    {Decoder, PreNorm, SandwichNorm, GroupedQueryAttention, FeedForward, GatedFeedForward, Linear}
    | {NoPosition, Learned, Sinusoidal, Rope, EmbeddingConvolution}
    | {nn.LayerNorm, RMSNorm, CenteredRMSNorm, QKNorm, nn.Embedding, nn.Linear}
    | {nn.ModuleList, nn.ModuleDict, nn.Dropout, nn.Identity}
)


def compiled_step(decoder: Decoder) -> CompiledStep | None:
    """The fast path of a decoder as it is now, or None where it has none.

    It reads the weights where they lie: create it again after they were moved or replaced.
    """
    weights = list(decoder.parameters())
    modules = list(decoder.modules())
    supported = (
        SUPPORTED.issuperset(map(type, modules))
        and not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
        and all(type(pattern) in _patterns(decoder.config) for pattern in decoder.patterns)
        and {weight.device.type for weight in weights} == {"cpu"}
        and {weight.dtype for weight in weights} in ({torch.float32}, {torch.bfloat16})
    )
    return CompiledStep(decoder) if supported else None


def _patterns(config: ModelConfig) -> tuple[type[Pattern], ...]:
    """Windows only beside other layers: models with a window in all layers stay on the reference
    path, so that a seed gives the same reply as before."""
    return (Pattern, Local) if config.layer_types else (Pattern,)


class CompiledStep:
    """`step(id, cache)` returns the logits (1, V) after one more id."""

    def __init__(self, decoder: Decoder) -> None:
        threads = torch.get_num_threads()
        # As it begins, numba sets the number of OpenMP's threads, which are torch's too.
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
        torch.set_num_threads(threads)
        config = decoder.config
        self.decoder = decoder
        self.layers = [
            _Layer(cast(PreNorm, block), config, decoder.patterns[kind])
            for block, kind in zip(decoder.blocks, decoder.kind_of_layer, strict=True)
        ]
        self.norm = _Norm(decoder.norm, config.norm)
        self.head = _stored(decoder.unembed_weight)
        self.normed = np.empty(config.width, np.float32)

    @torch.no_grad()
    def __call__(self, new: int, cache: Cache) -> Tensor:
        state, index = cache.state, cache.state.longest
        ids = torch.tensor([[new]])
        decoder = self.decoder
        previous = state.last_ids(decoder.config.conv_kernel - 1)
        embedded = decoder.embed(ids, torch.tensor([index]), previous)
        x = embedded.float().flatten().numpy().copy()
        positions = map(decoder.position_of, range(len(decoder.patterns)))
        turns: list[Floats | None] = [
            position.table[index].float().numpy() if isinstance(position, Rope) else None
            for position in positions
        ]
        kinds = decoder.kind_of_layer
        for layer, kind, layer_cache in zip(self.layers, kinds, cache.layers, strict=True):
            layer(x, turns[kind], layer_cache, state.slots, index)
        cache.state = state.extended(ids, 1)
        self.norm(x, self.normed)
        logits = torch.zeros(1, len(self.head))
        kernels.add_product(self.head, self.normed, logits[0].numpy())
        return logits


class _Layer:
    """One block: what the loops need of it, and the arrays they work in."""

    def __init__(self, block: PreNorm, config: ModelConfig, pattern: Pattern) -> None:
        attention = cast(GroupedQueryAttention, block.attention)
        heads, kv_heads, size = config.heads, config.kv_heads, config.head_size
        feedforward = block.feedforward
        assert isinstance(feedforward, FeedForward | GatedFeedForward)
        self.attention_norm = _Norm(block.attention_norm, config.norm)
        self.qkv, self.out = _Product(attention.qkv), _Product(attention.out)
        self.feedforward_norm = _Norm(block.feedforward_norm, config.norm)
        self.out_norms: tuple[_Norm, _Norm] | None = None
        if isinstance(block, SandwichNorm):
            norms = (block.attention_out_norm, block.feedforward_out_norm)
            self.out_norms = (_Norm(norms[0], config.norm), _Norm(norms[1], config.norm))
        self.up, self.down = _Product(feedforward.up), _Product(feedforward.down)
        self.gate = None
        if isinstance(feedforward, GatedFeedForward):
            self.gate = _Product(feedforward.gate)
        self.activation = kernels.ACTIVATIONS[config.feedforward]
        self.ring = pattern.ring
        self.scale = np.float32(config.attention_scale or 1 / math.sqrt(size))
        self.qk_norm = cast(QKNorm, attention.qk_norm) if config.qk_norm else None
        self.qk_weights = None if self.qk_norm is None else _floats(self.qk_norm.weights())
        self.normed = np.empty(config.width, np.float32)
        self.added = np.empty(config.width, np.float32)
        self.qkv_heads = np.empty((heads + 2 * kv_heads, size), np.float32)
        self.qk_heads = self.qkv_heads[: heads + kv_heads]
        self.attended = np.empty((heads, size), np.float32)
        self.inner = np.empty(config.hidden, np.float32)
        self.gated = np.empty(config.hidden, np.float32)
        like = attention.qkv.weight.new_empty(1, kv_heads, 1, size)
        self.like = (like, like)  # keys and values of one token
        self.buffers: Tensors = ()
        self.arrays: tuple[Stored, ...] = ()

    def __call__(
        self, x: Floats, turn: Floats | None, cache: LayerKVCache, cached: int, position: int
    ) -> None:
        """Add to x (C,) what the block adds to the token at `position`."""
        self.attention_norm(x, self.normed)
        self.qkv(self.normed, self.qkv_heads.reshape(-1))
        if self.qk_norm is not None:
            kernels.qk_norm(self.qk_heads, self.qk_weights, self.qk_norm.eps)
        if turn is not None:
            kernels.rotate(self.qk_heads, turn)
        slot, filled = self.ring.slot_of(position), int(min(position + 1, self.ring.limit))
        buffers = cache.ensure_capacity(cached, filled, self.like)
        if buffers is not self.buffers:  # numpy's view is made again only when the buffers are
            self.buffers, self.arrays = buffers, tuple(_stored(part[0]) for part in buffers)
        keys, values = self.arrays
        kernels.attend(self.qkv_heads, keys, values, slot, filled, self.scale, self.attended)
        self._add(self.out, self.attended.reshape(-1), x, 0)
        self.feedforward_norm(x, self.normed)
        self.up(self.normed, self.inner)
        if self.gate is None:
            self.activation(self.inner)
        else:
            self.gate(self.normed, self.gated)
            self.activation(self.gated)
            kernels.multiply(self.inner, self.gated)
        self._add(self.down, self.inner, x, 1)

    def _add(self, product: _Product, branch: Floats, x: Floats, index: int) -> None:
        """x += the result of a branch, normed where the placement norms it."""
        if self.out_norms is None:
            product.add(branch, x)
        else:
            product(branch, self.normed)
            self.out_norms[index](self.normed, self.added)
            x += self.added


class _Product:
    """A linear layer."""

    def __init__(self, layer: nn.Linear) -> None:
        self.weight = _stored(layer.weight)
        self.bias = None if layer.bias is None else _floats(layer.bias)

    def __call__(self, x: Floats, y: Floats) -> None:
        """y = W x + b."""
        y[:] = 0
        self.add(x, y)

    def add(self, x: Floats, y: Floats) -> None:
        """y += W x + b."""
        if self.bias is not None:
            y += self.bias
        kernels.add_product(self.weight, x, y)


class _Norm:
    """A norm over the width."""

    def __init__(self, norm: nn.Module, name: str) -> None:
        norm = cast(nn.LayerNorm | RMSNorm | CenteredRMSNorm, norm)
        self.norm = kernels.NORMS[name]
        self.weight, self.eps = _floats(norm.weight), norm.eps
        if isinstance(norm, CenteredRMSNorm):
            self.weight = 1 + self.weight
        bias = getattr(norm, "bias", None)
        self.bias = np.zeros_like(self.weight) if bias is None else _floats(bias)

    def __call__(self, x: Floats, y: Floats) -> None:
        self.norm(x, self.weight, self.bias, self.eps, y)


def _stored(tensor: Tensor) -> Stored:
    """The tensor's own memory as numpy sees it; bfloat16 as uint16."""
    tensor = tensor.detach()
    array: Stored = (
        tensor.view(torch.uint16) if tensor.dtype is torch.bfloat16 else tensor
    ).numpy()
    return array


def _floats(tensor: Tensor) -> Floats:
    """A small vector as float32, which it stays."""
    array: Floats = tensor.detach().float().contiguous().numpy()
    return array
