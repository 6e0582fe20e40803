"""The model: ids in, logits out. The parts answer for themselves; this file only connects them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from transformer.attention_plan import align_padding, plan_attention
from transformer.block import PLACEMENTS, Mixer, PreNorm
from transformer.cache import Cache, CacheState
from transformer.config import ModelConfig
from transformer.layers import linear
from transformer.patterns import PATTERNS, Pattern
from transformer.positions import POSITIONS, NoPosition


class Decoder(nn.Module):
    """A decoder-only transformer as `config` describes it.

    The weights are drawn at random, from `generator` or else from torch's own. With `recompute`,
    training keeps only the input of each block and recomputes the rest in the backward pass (Chen
    et al. 2016, arXiv 1604.06174): the same gradients, more time and less memory. (With batch
    normalization, which would count each batch twice, everything is kept.)
    """

    recompute = False

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        block = PLACEMENTS[config.placement]
        self.config = config
        layers = [config.layer(index) for index in range(config.layers)]
        kinds = list(dict.fromkeys(layers))  # one, unless `layer_types` says otherwise
        self.kind_of_layer = [kinds.index(layer) for layer in layers]
        self.patterns = [PATTERNS[kind.pattern](kind) for kind in kinds]
        self.position = POSITIONS[config.position](config)
        self.kind_positions = nn.ModuleDict()  # of kinds whose position differs from the model's
        for index, kind in enumerate(kinds):
            if _position_settings(kind) != _position_settings(config):
                self.kind_positions[str(index)] = POSITIONS[kind.position](kind)
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.convolution = EmbeddingConvolution(config) if config.conv_kernel > 1 else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(block(layer) for layer in layers)
        self.norm = block.last_norm(config)
        self.unembed = None if config.tied else nn.Linear(config.width, config.vocab_size, False)
        initialize(self, generator)

    def forward(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        """Logits (B, T, V) of the token after each of `ids` (B, T).

        Padding is any negative id, on either side: no token sees it, and positions are counted
        without it. With a `cache`, `ids` follow what it holds and are added to it. Raises
        ValueError when a row has more than `config.block` tokens to look at.
        """
        return self.head(self.hidden(ids, cache))

    def hidden(
        self, ids: Tensor, cache: Cache | None = None, select: Tensor | None = None
    ) -> Tensor:
        """`forward` without the head: (B, T, C), to pick from when few logits are needed.

        With `select` (B, T), which marks tokens and no padding, those alone, row by row: (N, C).
        What follows the last mixer works at one token alone, and is computed for these only.
        """
        state = CacheState() if cache is None else cache.state
        rows = align_padding(ids)
        after = state.extended(ids, rows.counts)
        if after.longest > self.config.block:
            raise ValueError(
                f"{after.longest} tokens do not fit block {self.config.block}: "
                "give the newest ones only, or use a model with a larger block"
            )
        plans = [  # one for each kind of layer
            plan_attention(state, rows, after, self.position_of(kind), pattern)
            for kind, pattern in enumerate(self.patterns)
        ]
        previous = state.last_ids(self.config.conv_kernel - 1)
        x = self.dropout(self.embed(rows.ids, plans[0].positions, previous))
        select = None if select is None else rows.align(select)
        # The layer after whose mixer tokens are selected; batch normalization takes all.
        selecting = None if self.config.norm == "batch" else len(self.blocks) - 1
        recompute = (
            self.recompute
            and (self.training and cache is None and torch.is_grad_enabled())
            and self.config.norm != "batch"
        )
        for index, block in enumerate(self.blocks):
            plan = plans[self.kind_of_layer[index]]
            layer_cache = None if cache is None else cache.layers[index]
            chosen = select if index == selecting else None
            if recompute:
                x = checkpoint(block, x, plan, layer_cache, chosen, use_reentrant=False)
            else:
                x = block(x, plan, layer_cache, chosen)
        if cache is not None:
            cache.state = after
        y: Tensor = self.norm(x)
        if select is None:
            return rows.restore(y)
        return y if y.dim() == 2 else y[select]

    def embed(self, ids: Tensor, positions: Tensor, previous: Tensor | None) -> Tensor:
        """The input of the first layer, (B, T, C), for `ids` (B, T) at their `positions`.

        Only a convolution needs the `previous` ids (B, conv_kernel - 1); negative ones are none, as
        all are without a tensor.
        """
        x: Tensor = self.tokens(ids.where(ids >= 0, self.config.padding_id))
        if self.convolution is not None:
            before = None
            if previous is not None:
                before = self.tokens(previous.clamp(min=0)) * (previous >= 0)[..., None]
            x = self.convolution(x, before)
        if self.config.embedding_scale != 1:
            x = x * torch.full((), self.config.embedding_scale, dtype=x.dtype, device=x.device)
        return self.position.embed(x, positions)

    def position_of(self, kind: int) -> NoPosition:
        """What turns and biases the heads in layers of a kind: the model's position, or its own."""
        if str(kind) not in self.kind_positions:
            return self.position
        return cast(NoPosition, self.kind_positions[str(kind)])

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) of hidden states (..., C)."""
        return linear(hidden, self.unembed_weight)

    @property
    def unembed_weight(self) -> Tensor:
        """The matrix (V, C) of the head: its own, or the embedding's when they are tied."""
        return (self.tokens if self.unembed is None else self.unembed).weight

    def new_cache(self) -> Cache:
        """An empty cache for one conversation, or for one batch of rows."""
        return Cache([mixer.new_cache(pattern) for mixer, pattern in self._mixers()])

    def cache_size(self, tokens: int) -> int:
        """How many numbers a cache of `tokens` tokens of one row holds."""
        return sum(mixer.cache_size(tokens, pattern) for mixer, pattern in self._mixers())

    def _mixers(self) -> list[tuple[Mixer, Pattern]]:
        mixers = (cast(PreNorm, block).attention for block in self.blocks)
        patterns = (self.patterns[kind] for kind in self.kind_of_layer)
        return list(zip(mixers, patterns, strict=True))


def _position_settings(config: ModelConfig) -> tuple[object, ...]:
    """What tells the positions of two kinds of layers apart."""
    if config.position != "rope":
        return (config.position,)
    scaling = (config.rope_factor, config.rope_low, config.rope_high, config.rope_original)
    return ("rope", config.rotary, config.rope_base, scaling)


class EmbeddingConvolution(nn.Module):
    """e[t] + w[1] · e[t - 1] + … over the newest `conv_kernel` embeddings, channel by channel.

    Which tokens stand together is most of what a small decoder can know of a language, and it takes
    long to learn to find them by attention. A causal depthwise convolution as in Mamba (Gu and Dao
    2023, arXiv 2312.00752), but once, on the embeddings, so that a next token needs nothing but the
    ids before it. Its weights start at zero.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(config.conv_kernel - 1, config.width))

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        """Embeddings (B, T, C); `before` (B, kernel - 1, C) precedes them, zeros if None."""
        taps = len(self.weight)
        if before is None:
            before = x.new_zeros(x.size(0), taps, x.size(2))
        longer = torch.cat((before, x), dim=1)
        mixed = x
        for back, weight in enumerate(self.weight.to(x.dtype), start=1):
            mixed = torch.addcmul(mixed, longer.narrow(1, taps - back, x.size(1)), weight)
        return mixed


def initialize(decoder: Decoder, generator: torch.Generator | None = None) -> None:
    """Draw all weights: normal with deviation 0.02, biases and the convolution 0, as in GPT-2.

    What a layer adds to the residual stream is drawn smaller by √(2 L), so that the sum over layers
    does not grow with their number (Radford et al. 2019, section 2.3).
    """
    to_residual = ("out.weight", "down.weight")
    for name, weight in decoder.named_parameters():
        if name.endswith(("bias", "convolution.weight")):
            nn.init.zeros_(weight)
        elif name.endswith("conv_weight"):  # so that a sum over its taps keeps the variance
            nn.init.normal_(weight, std=weight.size(-1) ** -0.5, generator=generator)
        elif weight.dim() > 1:
            shrink = (2 * decoder.config.layers) ** 0.5 if name.endswith(to_residual) else 1
            nn.init.normal_(weight, std=0.02 / shrink, generator=generator)


def meta_decoder(config: ModelConfig) -> Decoder:
    """The decoder of `config` without memory for its weights, on torch's device "meta".

    `load_state_dict(…, assign=True)` puts weights in. Tables that are not weights are real.
    """
    with torch.device("meta"), _NoDraws():
        return Decoder(config)


class _NoDraws(TorchFunctionMode):
    """Leaves tensors as they are where they would be drawn.

    On tensors without memory a draw does nothing, but the first one imports torch's compiler:
    seconds, and 70 MiB.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "kaiming_uniform_"):
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)
