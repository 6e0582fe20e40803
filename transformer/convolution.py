"""What came just before, told to each token before any attention has looked at it.

Which tokens stand together is most of what a small decoder can know of a language, and it takes
long to learn to find them by attention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transformer.config import ModelConfig


class ShortConvolution(nn.Module):
    """e[t] + w[1] · e[t - 1] + … over the newest `conv_kernel` embeddings, channel by channel.

    A causal depthwise convolution as in Mamba (Gu and Dao 2023, arXiv 2312.00752), but once, on the
    embeddings, so that the ids before are all that a next token needs. It begins as nothing.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(config.conv_kernel - 1, config.width))

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        """Embeddings (B, T, C); `before` (B, kernel - 1, C) is what precedes them, or nothing."""
        taps = len(self.weight)
        if before is None:
            before = x.new_zeros(x.size(0), taps, x.size(2))
        longer = torch.cat((before, x), dim=1)
        mixed = x
        for back, weight in enumerate(self.weight.to(x.dtype), start=1):
            mixed = torch.addcmul(mixed, longer.narrow(1, taps - back, x.size(1)), weight)
        return mixed
