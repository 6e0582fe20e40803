"""The optimizers: Muon for the matrices inside the blocks, AdamW for everything else.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) takes steps whose directions
are all equally long, and learns more per step; its steps are scaled to the size of AdamW's (Liu et
al. 2025, "Muon is scalable for LLM training", section 2.2), so that one learning rate serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from pipeline.training.hardware.distributed import like
from pipeline.training.muon import Muon

Optimizers = list[torch.optim.Optimizer]
Groups = list[dict[str, Any]]

MOMENTUM = 0.95  # of Muon
BETAS = (0.9, 0.95)  # of AdamW
ROWS = 2.0  # rate of embedding, convolution and head, beside that of the matrices

MUON = "muon"  # with AdamW for the rest: what everything but the laboratory uses
# What can learn all by itself, for the laboratory.
ALONE: Mapping[str, Callable[[Groups], torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, lr=0.0, betas=BETAS, fused=True),
    "adafactor": partial(torch.optim.Adafactor, lr=0.0),
    "sgd": partial(torch.optim.SGD, lr=0.0, momentum=MOMENTUM, nesterov=True),
}


def optimizers(model: nn.Module, weight_decay: float, name: str = MUON) -> Optimizers:
    """The optimizers over what learns; `fit` sets their rate at every step.

    Where part of the model is frozen (LoRA), the small added matrices are AdamW's too.
    """
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    whole = name == MUON and all(p.requires_grad for p in model.parameters())
    matrices = [p for n, p in named if whole and p.ndim == 2 and n.startswith("blocks.")]
    taken = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in taken]
    share = ROWS if whole else 1.0
    groups = [
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": weight_decay, "share": share},
    ]
    rest_by = ALONE["adamw" if name == MUON else name]
    found: Optimizers = [rest_by([g for g in groups if g["params"]])]
    if matrices:
        found.append(Muon(matrices, lr=0.0, weight_decay=weight_decay, momentum=MOMENTUM))
    return found


def set_rate(found: Optimizers, rate: float) -> None:
    """Set the learning rate of the coming step."""
    for optimizer in found:
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)


def state_tensors(found: Optimizers) -> dict[str, torch.Tensor]:
    """The optimizers' state as named tensors, for a checkpoint."""
    return {
        f"optimizer.{number}.{parameter}.{key}": torch.as_tensor(value)
        for number, optimizer in enumerate(found)
        for parameter, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
    }


def restore_state(found: Optimizers, tensors: dict[str, torch.Tensor]) -> None:
    """The inverse of `state_tensors`, into optimizers over the same parameters."""
    states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in found]
    over = [[p for group in o.param_groups for p in group["params"]] for o in found]
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, parameter, key = name.split(".")
            laid_out = like(tensor, over[int(number)][int(parameter)])
            states[int(number)].setdefault(int(parameter), {})[key] = laid_out
    for optimizer, state in zip(found, states, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
