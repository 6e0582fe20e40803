"""Muon in the number format that is fast where it runs.

PyTorch's own (`torch.optim.Muon`) makes all steps equally long in every direction by products in
bfloat16. A processor without instructions for it, as most laptops have, takes thirty times as long
for them as in float32, and then spends most of a small decoder's training there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic (Jordan et al. 2024)
EPSILON = 1e-7
LONG = 1.5  # times as long as wide, from where on the gram matrix is worth keeping


class Muon(torch.optim.Optimizer):
    """Momentum whose direction is made orthogonal, for matrices (Jordan et al. 2024).

    Steps are scaled to the size of AdamW's (Liu et al. 2025, section 2.2), so that one learning
    rate serves both. Weight decay is AdamW's.
    """

    def __init__(
        self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._change(matrix, matrix.grad, group)

    def _change(self, matrix: Tensor, grad: Tensor, group: dict[str, float]) -> None:
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(grad)
        average = state["momentum_buffer"].lerp_(grad, 1 - group["momentum"])
        update = orthogonal(grad.lerp(average, group["momentum"]))  # as Nesterov looks ahead
        scale = 0.2 * math.sqrt(max(matrix.shape))
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        matrix.add_(update, alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest orthogonal matrix to (A, B): its singular values all near 1.

    Newton-Schulz iterations, whose result need not be exact (Jordan et al. 2024).
    """
    tall = matrix.size(0) > matrix.size(1)
    x = (matrix.T if tall else matrix).to(fast_dtype(matrix.device))
    x = x / x.norm().clamp(min=EPSILON)
    long = x.size(1) >= LONG * x.size(0) and x.dtype == torch.float32
    whole = type(x) is Tensor  # not cut up among processes
    x = (_by_gram if long and whole else _directly)(x)
    return x.T if tall else x


def _directly(x: Tensor) -> Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _by_gram(x: Tensor) -> Tensor:
    """The same for a long matrix with a third fewer operations, but more rounding.

    An iteration multiplies x by a polynomial p of its gram matrix G = x xᵀ. The next gram matrix is
    p G p, so that all polynomials can be multiplied together before x is touched again.
    """
    gram = x @ x.T
    together = factor = _factor(gram)
    for _ in range(ITERATIONS - 1):
        gram = factor @ (factor @ gram)  # they commute
        factor = _factor(gram)
        together = together @ factor
    return together @ x


def _factor(gram: Tensor) -> Tensor:
    """The polynomial of one iteration."""
    a, b, c = COEFFICIENTS
    factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
    factor.diagonal().add_(a)
    return factor


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16, except on a processor that has no instructions for it."""
    if device.type == "cpu" and not torch.cpu._is_avx512_bf16_supported():
        return torch.float32
    return torch.bfloat16
