"""One token through the whole decoder by compiled loops: the fast road of a conversation.

It computes what `Decoder.hidden` and `head` compute for the next token of a single row, and shares
their cache, so that both can take turns. Only the usual kind of decoder has this road (softmax over
the whole past, norms before the branches), and only on the CPU; all others take the general one.
"""

from __future__ import annotations

from typing import Any, cast

import numba
import numpy as np
import torch
from torch import Tensor, nn

from transformer import kernels
from transformer.attention import Grouped
from transformer.block import PreNorm
from transformer.cache import Cache
from transformer.convolution import ShortConvolution
from transformer.decoder import Decoder
from transformer.feedforward import FeedForward, GatedFeedForward
from transformer.kept import Kept
from transformer.linear import Linear
from transformer.norms import HeadNorm, RMSNorm
from transformer.positions import Learned, NoPosition, Rope, Sinusoidal

# A decoder of other parts (another attention, a norm with a memory, an adapter) is not usual, nor
# is one that somebody watches with hooks.
USUAL: frozenset[type[nn.Module]] = frozenset(
    {Decoder, PreNorm, Grouped, FeedForward, GatedFeedForward, Linear, HeadNorm}
    | {NoPosition, Learned, Sinusoidal, Rope, ShortConvolution}
    | {nn.LayerNorm, RMSNorm, nn.Embedding, nn.Linear, nn.ModuleList, nn.Dropout, nn.Identity}
)


def single(decoder: Decoder) -> Single | None:
    """The fast road of a decoder as it is now, or None where it has none.

    The weights are looked at where they lie; make it again after they were moved or replaced.
    """
    weights = list(decoder.parameters())
    modules = list(decoder.modules())
    usual = (
        USUAL.issuperset(map(type, modules))
        and not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
        and decoder.config.pattern == "full"
        and {weight.device.type for weight in weights} == {"cpu"}
        and {weight.dtype for weight in weights} in ({torch.float32}, {torch.bfloat16})
    )
    return Single(decoder) if usual else None


class Single:
    """`single(id, cache)` gives the logits (1, V) after one more id."""

    def __init__(self, decoder: Decoder) -> None:
        threads = torch.get_num_threads()
        # As it begins, numba sets the number of OpenMP's threads, which are torch's too.
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
        torch.set_num_threads(threads)
        config = decoder.config
        self.decoder = decoder
        self.layers = [_Layer(cast(PreNorm, block), decoder) for block in decoder.blocks]
        self.norm = _Norm(decoder.norm, config.norm)
        self.head = _seen(decoder.unembed_weight)
        self.normed = np.empty(config.width, np.float32)

    @torch.no_grad()
    def __call__(self, new: int, cache: Cache) -> Tensor:
        held, at = cache.held, cache.held.longest
        ids = torch.tensor([[new]])
        decoder, position = self.decoder, self.decoder.position
        before = held.newest(decoder.config.conv_kernel - 1)
        embedded = decoder.embed(ids, torch.tensor([at]), before)
        x = embedded.float().flatten().numpy().copy()
        turn = position.table[at].float().numpy() if isinstance(position, Rope) else None
        for layer, kept in zip(self.layers, cache.layers, strict=True):
            layer(x, turn, kept, held.slots, at)
        cache.held = held.then(ids, 1)
        self.norm(x, self.normed)
        logits = torch.zeros(1, len(self.head))
        kernels.add_product(self.head, self.normed, logits[0].numpy())
        return logits


class _Layer:
    """One block: what of it the loops need, and the arrays they work in."""

    def __init__(self, block: PreNorm, decoder: Decoder) -> None:
        config, attention = decoder.config, cast(Grouped, block.attention)
        heads, kv_heads, size = config.heads, config.kv_heads, config.head_size
        feedforward = cast(Any, block.feedforward)
        self.attention_norm = _Norm(block.attention_norm, config.norm)
        self.qkv, self.out = _Product(attention.qkv), _Product(attention.out)
        self.feedforward_norm = _Norm(block.feedforward_norm, config.norm)
        self.up, self.down = _Product(feedforward.up), _Product(feedforward.down)
        gated = isinstance(feedforward, GatedFeedForward)
        self.gate = _Product(feedforward.gate) if gated else None
        self.activation = kernels.ACTIVATIONS[config.feedforward]
        self.head_norm = _HeadNorm(cast(HeadNorm, attention.qk_norm)) if config.qk_norm else None
        self.normed = np.empty(config.width, np.float32)
        self.heads = np.empty((heads + 2 * kv_heads, size), np.float32)
        self.turned = self.heads[: heads + kv_heads]  # those of queries and keys
        self.found = np.empty((heads, size), np.float32)
        self.inner = np.empty(config.hidden, np.float32)
        self.gated = np.empty(config.hidden, np.float32)
        blank = attention.qkv.weight.new_empty(1, kv_heads, 1, size)
        self.blank = (blank, blank)
        self.memory = _Memory()

    def __call__(self, x: Any, turn: Any, kept: Kept, slots: int, at: int) -> None:
        """Add to x (C,) what the block adds to the token at position `at`."""
        self.attention_norm(x, self.normed)
        self.qkv(self.normed, self.heads.reshape(-1))
        if self.head_norm is not None:
            self.head_norm(self.turned)
        if turn is not None:
            kernels.rotate(self.turned, turn)
        keys, values = self.memory(kept.room(slots, at + 1, self.blank))
        kernels.attend(self.heads, keys, values, at, self.found)
        self.out.add(self.found.reshape(-1), x)
        self.feedforward_norm(x, self.normed)
        self.up(self.normed, self.inner)
        if self.gate is None:
            self.activation(self.inner)
        else:
            self.gate(self.normed, self.gated)
            self.activation(self.gated)
            kernels.multiply(self.inner, self.gated)
        self.down.add(self.inner, x)


class _Product:
    """A linear layer."""

    def __init__(self, layer: Any) -> None:
        self.add_product = kernels.add_product
        self.weight, self.bias = _seen(layer.weight), _floats(layer.bias)

    def __call__(self, x: Any, y: Any) -> None:
        """y = W x + b."""
        y[:] = 0
        self.add(x, y)

    def add(self, x: Any, y: Any) -> None:
        """y += W x + b."""
        if self.bias is not None:
            y += self.bias
        self.add_product(self.weight, x, y)


class _Norm:
    """A norm over the width."""

    def __init__(self, norm: Any, name: str) -> None:
        self.norm = kernels.NORMS[name]
        self.weight, self.eps = _floats(norm.weight), norm.eps
        bias = _floats(getattr(norm, "bias", None))
        self.bias = np.zeros_like(self.weight) if bias is None else bias

    def __call__(self, x: Any, y: Any) -> None:
        self.norm(x, self.weight, self.bias, self.eps, y)


class _HeadNorm:
    """The norm of the heads of queries and keys."""

    def __init__(self, norm: HeadNorm) -> None:
        self.norm, self.eps = kernels.head_norm, norm.eps
        self.weight = _floats(norm.weights())

    def __call__(self, heads: Any) -> None:
        self.norm(heads, self.weight, self.eps)


class _Memory:
    """numpy's view of a layer's keys and values, made anew only when they were."""

    def __init__(self) -> None:
        self.tensors: tuple[Tensor, ...] = ()
        self.arrays: tuple[Any, ...] = ()

    def __call__(self, tensors: tuple[Tensor, ...]) -> tuple[Any, ...]:
        if tensors is not self.tensors:
            self.tensors, self.arrays = tensors, tuple(_seen(part[0]) for part in tensors)
        return self.arrays


def _seen(tensor: Tensor) -> Any:
    """The tensor's own memory as numpy sees it; bfloat16 as uint16."""
    tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype is torch.bfloat16 else tensor).numpy()


def _floats(tensor: Tensor | None) -> Any:
    """A small vector as float32, which it stays."""
    return None if tensor is None else tensor.detach().float().contiguous().numpy()
