"""What the loss is multiplied by, so that small gradients do not vanish in float16.

Micikevicius et al. 2018, "Mixed precision training" (arXiv 1710.03740), section 3.2. Every process
comes to the same factor, since it goes by the length of all gradients together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

FIRST = 2.0**16
STEADY = 2000  # steps without an overflow, after which it is tried larger


@dataclass
class LossScale:
    """The factor, and how many steps it has held; `moves` is whether the format needs one."""

    moves: bool
    factor: float = 1.0
    held: int = 0

    @classmethod
    def of(cls, dtype: torch.dtype) -> LossScale:
        """The one to begin with in a number format."""
        moves = dtype is torch.float16
        return cls(moves, FIRST if moves else 1.0)

    def fitted(self) -> None:
        """The gradients of a step were numbers."""
        self.held += 1
        if self.moves and self.held == STEADY:
            self.factor, self.held = 2 * self.factor, 0

    def overflowed(self) -> bool:
        """They were not; whether a smaller factor may mend that."""
        self.factor, self.held = self.factor / 2 if self.moves else 1.0, 0
        return self.moves and self.factor >= 1

    def state(self) -> torch.Tensor:
        """For a checkpoint."""
        return torch.tensor([self.factor, self.held], dtype=torch.float64)

    def restore(self, state: torch.Tensor) -> None:
        """The inverse of `state`."""
        self.factor, self.held = float(state[0]), int(state[1])
