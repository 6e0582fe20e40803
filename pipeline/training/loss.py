"""The loss: cross-entropy of the next token, over targets alone."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from transformer.decoder import Decoder


def summed(model: Decoder, x: Tensor, y: Tensor) -> tuple[Tensor, int]:
    """Summed negative log-likelihood in nats of the targets (y ≥ 0), and how many there are.

    x and y are ids (B, T). Logits are made only where there is a target.
    """
    wanted = y >= 0
    hidden = model.hidden(x)
    targets = y[wanted]
    logits = model.head(hidden[wanted] if len(targets) < y.numel() else hidden.flatten(0, 1))
    return F.cross_entropy(logits.float(), targets, reduction="sum"), len(targets)
