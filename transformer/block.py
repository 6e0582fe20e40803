"""One layer: two branches, attention and feed-forward, each added to what came in.

Where the norm stands is the only difference between the placements.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from transformer.attention import ATTENTIONS, Attention
from transformer.config import ModelConfig
from transformer.feedforward import FEEDFORWARDS
from transformer.kept import Kept
from transformer.norms import NORMS
from transformer.view import View


class PreNorm(nn.Module):
    """x + branch(norm(x)): the way through stays clear (Xiong et al. 2020, arXiv 2002.04745)."""

    attention: Attention

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = NORMS[config.norm](config)
        self.attention = ATTENTIONS[config.attention](config)
        self.feedforward_norm = NORMS[config.norm](config)
        self.feedforward = FEEDFORWARDS[config.feedforward](config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, view: View, cache: Kept | None = None, only: Tensor | None = None
    ) -> Tensor:
        """x (B, T, C) a layer later, or the tokens `only` (B, T) says of it, (N, C)."""
        x = _those(x + self.dropout(self.attention(self.attention_norm(x), view, cache)), only)
        added: Tensor = self.dropout(self.feedforward(self.feedforward_norm(x)))
        return x + added

    @staticmethod
    def last_norm(config: ModelConfig) -> nn.Module:
        """What follows the last layer."""
        return NORMS[config.norm](config)


class PostNorm(PreNorm):
    """norm(x + branch(x)), as in the first transformer; nothing is left to norm at the end."""

    def forward(
        self, x: Tensor, view: View, cache: Kept | None = None, only: Tensor | None = None
    ) -> Tensor:
        """As `PreNorm.forward`."""
        x = _those(x + self.dropout(self.attention(x, view, cache)), only)
        x = self.attention_norm(x)
        y: Tensor = self.feedforward_norm(x + self.dropout(self.feedforward(x)))
        return y

    @staticmethod
    def last_norm(config: ModelConfig) -> nn.Module:
        return nn.Identity()


def _those(x: Tensor, only: Tensor | None) -> Tensor:
    return x if only is None else x[only]


PLACEMENTS: Mapping[str, type[PreNorm]] = {"pre": PreNorm, "post": PostNorm}
