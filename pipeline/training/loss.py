"""The loss: cross-entropy of the next token, over targets alone."""

from __future__ import annotations

from torch import Tensor, nn
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


class Objective(nn.Module):
    """A model as what training makes smaller, in one call: what several processes share out."""

    def __init__(self, model: Decoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Summed nats of the targets, of which there may be none."""
        return summed(self.model, x, y)[0]
