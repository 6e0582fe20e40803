"""The optimizers: Muon for the matrices inside the blocks, AdamW for everything else.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) takes steps that are equally
long in every direction, and learns more per step. Its steps are scaled to the size of AdamW's (Liu
et al. 2025, "Muon is scalable for LLM training", section 2.2), so that one learning rate serves
both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.training.hardware.distributed import like

Optimizers = list[torch.optim.Optimizer]
Groups = list[dict[str, Any]]

MOMENTUM = 0.95  # of Muon
BETAS = (0.9, 0.95)  # of AdamW
ROWS_LR_SCALE = 2.0  # learning rate of embedding, convolution and head, beside the matrices'

MUON = "muon"  # with AdamW for the rest: what everything but the laboratory uses
# What can train a whole model, for the laboratory.
SINGLE: Mapping[str, Callable[[Groups], torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, lr=0.0, betas=BETAS, fused=True),
    "adafactor": partial(torch.optim.Adafactor, lr=0.0),
    "sgd": partial(torch.optim.SGD, lr=0.0, momentum=MOMENTUM, nesterov=True),
}

ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic (Jordan et al. 2024)
EPSILON = 1e-7
LONG = 1.5  # times as long as wide, from where on the Gram matrix is worth keeping


def optimizers(model: nn.Module, weight_decay: float, name: str = MUON) -> Optimizers:
    """The optimizers over the parameters that learn; `set_rate` sets their rate at every step.

    Where part of the model is frozen (LoRA), the small added matrices are AdamW's too.
    """
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    whole = name == MUON and all(p.requires_grad for p in model.parameters())
    matrices = [p for n, p in named if whole and p.ndim == 2 and n.startswith("blocks.")]
    with_muon = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in with_muon]
    scale = ROWS_LR_SCALE if whole else 1.0
    groups: Groups = [
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        {
            "params": [p for p in rest if p.ndim >= 2],
            "weight_decay": weight_decay,
            "lr_scale": scale,
        },
    ]
    of_rest = SINGLE["adamw" if name == MUON else name]
    every: Optimizers = [of_rest([g for g in groups if g["params"]])]
    if matrices:
        every.append(Muon(matrices, lr=0.0, weight_decay=weight_decay, momentum=MOMENTUM))
    return every


def set_rate(every: Optimizers, rate: float) -> None:
    """Set the learning rate of the coming step."""
    for optimizer in every:
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)


def state_tensors(every: Optimizers) -> dict[str, Tensor]:
    """The optimizers' state as named tensors, for a checkpoint."""
    return {
        f"optimizer.{number}.{parameter}.{key}": torch.as_tensor(value)
        for number, optimizer in enumerate(every)
        for parameter, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
    }


def restore_state(every: Optimizers, tensors: dict[str, Tensor]) -> None:
    """The inverse of `state_tensors`, into optimizers over the same parameters."""
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in every]
    parameters = [[p for group in o.param_groups for p in group["params"]] for o in every]
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, parameter, key = name.split(".")
            laid_out = like(tensor, parameters[int(number)][int(parameter)])
            states[int(number)].setdefault(int(parameter), {})[key] = laid_out
    for optimizer, state in zip(every, states, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})


class Muon(torch.optim.Optimizer):
    """Momentum whose direction is made orthogonal, for matrices (Jordan et al. 2024).

    Weight decay is AdamW's. Unlike `torch.optim.Muon`, which multiplies in bfloat16 everywhere,
    this one uses the number format that is fast where it runs: a processor without instructions
    for bfloat16, as most laptops have, takes thirty times as long for such products as in float32.
    """

    def __init__(
        self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change every matrix that has a gradient."""
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for matrix in group["params"]:
                grad = matrix.grad
                if grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(grad)
                average = state["momentum_buffer"].lerp_(grad, 1 - momentum)
                update = orthogonal(grad.lerp(average, momentum))  # Nesterov's look ahead
                matrix.mul_(1 - lr * group["weight_decay"])
                matrix.add_(update, alpha=-lr * 0.2 * math.sqrt(max(matrix.shape)))


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest orthogonal matrix to (A, B): its singular values all near 1.

    Newton-Schulz iterations, whose result need not be exact (Jordan et al. 2024). Each multiplies
    x by a polynomial of its Gram matrix x xᵀ.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.size(0) > matrix.size(1)
    x = (matrix.T if tall else matrix).to(fast_dtype(matrix.device))
    x = x / x.norm().clamp(min=EPSILON)
    long = x.size(1) >= LONG * x.size(0) and x.dtype == torch.float32
    if long and type(x) is Tensor:  # not sharded
        # With a polynomial p, the next Gram matrix G is p G p, so the polynomials are multiplied
        # together before x is touched again: a third fewer operations, but more rounding.
        gram = factor = product = x @ x.T
        for n in range(ITERATIONS):
            if n > 0:
                gram = factor @ (factor @ gram)  # they commute
            factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
            factor.diagonal().add_(a)
            product = product @ factor if n > 0 else factor
        x = product @ x
    else:
        for _ in range(ITERATIONS):
            gram = x @ x.T
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16, except on a processor that has no instructions for it."""
    if device.type == "cpu" and not torch.cpu._is_avx512_bf16_supported():
        return torch.float32
    return torch.bfloat16
