"""The model: ids in, logits out. The parts answer for themselves; this file only connects them."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from transformer.block import PLACEMENTS, PreNorm
from transformer.cache import Cache, Held
from transformer.config import ModelConfig
from transformer.convolution import ShortConvolution
from transformer.linear import linear
from transformer.padding import align
from transformer.patterns import PATTERNS
from transformer.positions import POSITIONS
from transformer.view import look


class Decoder(nn.Module):
    """A decoder-only transformer as `config` describes it.

    The weights are drawn at random, from `generator` or else from torch's own. With `recompute`,
    training keeps only what enters each block and makes the rest anew in the backward pass (Chen et
    al. 2016, arXiv 1604.06174): the same gradients, more time and less memory.
    (Batch normalization, which would count each batch twice, keeps all.)
    """

    recompute = False

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        block = PLACEMENTS[config.placement]
        self.config = config
        self.pattern = PATTERNS[config.pattern](config)
        self.position = POSITIONS[config.position](config)
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.convolution = ShortConvolution(config) if config.conv_kernel > 1 else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(block(config) for _ in range(config.layers))
        self.norm = block.last_norm(config)
        self.unembed = None if config.tied else nn.Linear(config.width, config.vocab_size, False)
        initialize(self, generator)

    def forward(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        """Logits (B, T, V) of the token after each of `ids` (B, T).

        Padding is any negative id, on either side: no real token sees it, and positions are
        counted without it. With a `cache`, `ids` follow what it holds and are added to it.
        Raises ValueError when a row has more than `config.block` tokens to look at.
        """
        return self.head(self.hidden(ids, cache))

    def hidden(
        self, ids: Tensor, cache: Cache | None = None, wanted: Tensor | None = None
    ) -> Tensor:
        """`forward` without the head: (B, T, C), to pick from when few logits are needed.

        Or (N, C), row by row: those of the tokens `wanted` (B, T) says, none of them padding. What
        follows the last attention looks at one token alone, and is made for these only.
        """
        held = Held() if cache is None else cache.held
        rows = align(ids)
        after = held.then(ids, rows.counts)
        if after.longest > self.config.block:
            raise ValueError(
                f"{after.longest} tokens do not fit block {self.config.block}: "
                "give the newest ones only, or use a model with a larger block"
            )
        view = look(held, rows, after, self.position, self.pattern)
        x = self.dropout(self.embed(rows.ids, view.at, held.newest(self.config.conv_kernel - 1)))
        learns = self.training and cache is None and torch.is_grad_enabled()
        recompute = self.recompute and learns and self.config.norm != "batch"
        only = None if wanted is None else rows.moved(wanted)
        for layer, block in enumerate(self.blocks):
            kept = None if cache is None else cache.layers[layer]
            picks = only if layer == self._picking else None
            if recompute:
                x = checkpoint(block, x, view, kept, picks, use_reentrant=False)
            else:
                x = block(x, view, kept, picks)
        if cache is not None:
            cache.held = after
        y: Tensor = self.norm(x)
        if only is None:
            return rows.undo(y)
        return y if y.dim() == 2 else y[only]

    def embed(self, ids: Tensor, at: Tensor, before: Tensor | None) -> Tensor:
        """What enters the first layer, (B, T, C): `ids` (B, T) that stand at the positions `at`.

        The ids `before` them, (B, kernel - 1), matter to a convolution alone; negative ones are
        none, as all are without a tensor.
        """
        x: Tensor = self.tokens(ids.where(ids >= 0, self.config.padding_id))
        if self.convolution is not None:
            x = self.convolution(x, None if before is None else self._real(before))
        return self.position.embed(x, at)

    def _real(self, ids: Tensor) -> Tensor:
        """Their embeddings, and zeros for those that are none."""
        real: Tensor = self.tokens(ids.clamp(min=0)) * (ids >= 0)[..., None]
        return real

    @property
    def _picking(self) -> int | None:
        """The layer that works on the wanted tokens alone: batch normalization takes all."""
        return None if self.config.norm == "batch" else len(self.blocks) - 1

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) of hidden states (..., C)."""
        return linear(hidden, self.unembed_weight)

    @property
    def unembed_weight(self) -> Tensor:
        """The matrix (V, C) of the head: its own, or the embedding's when they are tied."""
        return (self.tokens if self.unembed is None else self.unembed).weight

    def new_cache(self) -> Cache:
        """An empty cache for one conversation, or for one batch of rows."""
        attentions = [cast(PreNorm, block).attention for block in self.blocks]
        return Cache([attention.new_cache(self.pattern) for attention in attentions])


def initialize(decoder: Decoder, generator: torch.Generator | None = None) -> None:
    """Draw all weights: normal with deviation 0.02, biases 0, as in GPT-2; no convolution yet.

    What a layer adds to its input is drawn smaller by √(2 L), so that the sum over layers does
    not grow with their number (Radford et al. 2019, section 2.3).
    """
    adds = ("out.weight", "down.weight")
    for name, weight in decoder.named_parameters():
        if name.endswith(("bias", "convolution.weight")):
            nn.init.zeros_(weight)
        elif weight.dim() > 1:
            shrink = (2 * decoder.config.layers) ** 0.5 if name.endswith(adds) else 1
            nn.init.normal_(weight, std=0.02 / shrink, generator=generator)
