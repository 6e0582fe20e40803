"""Gradients of several processes, summed while the backward pass still makes the others.

Parameters go in an order fixed beforehand, the last layers first, each as soon as it and those
before it are ready, so that the network works beside the device (Li et al. 2020, "PyTorch
Distributed", arXiv 2006.15704). Unlike torch's DistributedDataParallel, a process whose pass fails
still takes part in every sum, as long as there is memory for the sums themselves: no other is left
waiting, and all can agree to go on with less.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn

SMALL = 1 << 16  # numbers; tensors below it go together, since each sum has a cost of its own


class Exchange:
    """The gradients of what learns in a model; all processes have a model of the same shapes."""

    def __init__(self, model: nn.Module) -> None:
        learning = [p for p in reversed([*model.parameters()]) if p.requires_grad]
        large = [[p] for p in learning if p.numel() >= SMALL]
        small = [p for p in learning if p.numel() < SMALL]
        self._groups = [*large, *([small] if small else [])]
        self._missing: list[set[Tensor]] = []  # gradients still to come, group by group
        self._sent: list[tuple[Tensor, distributed.Work]] = []
        self._hooks: list[Any] = []
        for parameter in learning:
            distributed.broadcast(parameter.detach(), src=0)

    def begin(self) -> None:
        """From now on gradients are final: sum them as they come."""
        self._missing = [set(group) for group in self._groups]
        for number, group in enumerate(self._groups):
            for parameter in group:
                hook = parameter.register_post_accumulate_grad_hook(partial(self._made, number))  # type: ignore[no-untyped-call]
                self._hooks.append(hook)

    def end(self) -> None:
        """Until every gradient, made or not, is the sum of all processes'."""
        for hook in self._hooks:
            hook.remove()  # one that stayed would hold the model for ever
        while len(self._sent) < len(self._groups):
            self._send()
        for group, (total, work) in zip(self._groups, self._sent, strict=True):
            work.wait()
            if len(group) > 1:
                parts = torch.split(total, [p.numel() for p in group])
                for parameter, part in zip(group, parts, strict=True):
                    _gradient(parameter).copy_(part.view_as(parameter))
        self._sent, self._hooks = [], []

    def _made(self, number: int, parameter: Tensor) -> None:
        self._missing[number].remove(parameter)
        while len(self._sent) < len(self._groups) and not self._missing[len(self._sent)]:
            self._send()

    def _send(self) -> None:
        gradients = [_gradient(p) for p in self._groups[len(self._sent)]]
        together = len(gradients) > 1
        total = torch.cat([g.flatten() for g in gradients]) if together else gradients[0]
        work = distributed.all_reduce(total, async_op=True)
        assert work is not None
        self._sent.append((total, work))


def _gradient(parameter: Tensor) -> Tensor:
    """What was made of it; zeros where nothing was."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
