"""Loss in bits per byte: a figure that compares across tokenizers and models.

The summed -log2 p of every target of a split, divided by the UTF-8 bytes of its text. Long texts
are read in windows that move by half a block, so that every target but the first few has at least
half a block of context, and none is counted twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from pipeline.common.processes import ALONE, World
from pipeline.training.batches import Batch, trimmed
from pipeline.training.loss import Objective
from transformer.decoder import Decoder

TOKENS_AT_ONCE = 8192
UNCHECKED = (
    "too little text is held out, so the model is validated on its training text; more text helps"
)

Rows = NDArray[np.integer]


@dataclass(frozen=True)
class Loss:
    """The loss over a split, summed."""

    nats: float
    targets: int
    bytes: int

    @property
    def per_token(self) -> float:
        """Mean loss in nats per target, as training shows it."""
        return self.nats / max(1, self.targets)

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / max(1, self.bytes)


def windows(ids: NDArray[np.integer], block: int, max_windows: int = 0) -> Iterator[Batch]:
    """Batches that cover a row of ids: windows of one block, moving by half a block.

    Each is x and y of shape (B, T); y is -1 where the target belongs to an earlier window. With
    `max_windows`, at most that many, evenly spread over a longer text.
    """
    step = max(1, block // 2)
    count = 1 + max(0, math.ceil((len(ids) - 1 - block) / step))
    read = min(max_windows or count, count)
    per_batch = max(1, TOKENS_AT_ONCE // block)
    for first in range(0, read, per_batch):
        numbers = range(first, min(first + per_batch, read))
        rows = np.full((len(numbers), 2, block), -1, dtype=np.int64)
        for row, number in zip(rows, numbers, strict=True):
            start = number * count // read * step
            piece = ids[start : start + block + 1]
            seen = 0 if start == 0 else block - step
            row[0, : len(piece) - 1] = piece[:-1]
            row[1, seen : len(piece) - 1] = piece[1 + seen :]
        yield trimmed(rows)


def row_batches(rows: Rows) -> Iterator[Batch]:
    """Batches that cover padded rows of shape (N, 2, T), rows of similar length together."""
    return (trimmed(rows[chosen]) for chosen in _by_length(rows))


def _by_length(rows: Rows) -> Iterator[NDArray[np.int64]]:
    """The numbers of the rows, shortest first, in batches."""
    lengths = (rows[:, 0] >= 0).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    while len(order):
        cells = lengths[order] * np.arange(1, len(order) + 1)  # all are as long as the last
        size = max(1, int(np.searchsorted(cells, TOKENS_AT_ONCE // 2, side="right")))
        yield order[:size]
        order = order[size:]


def measure(
    model: nn.Module, batches: Iterable[Batch], text_bytes: int, world: World = ALONE
) -> Loss:
    """The loss over a split, in evaluation mode; the model's own mode is restored afterwards.

    `model` is a decoder or the `Objective` of one. Each process of the `world` reads its share; all
    of them get the whole.
    """
    objective = Objective(model) if isinstance(model, Decoder) else model
    device = next(model.parameters()).device
    nats, targets = 0.0, 0
    with evaluating(objective):
        for x, y in _own_batches(batches, world):
            nats += objective(x.to(device), y.to(device)).item()
            targets += int((y >= 0).sum())
    nats, all_targets = world.all_reduce_sum(nats, targets)
    return Loss(nats, int(all_targets), text_bytes)


def measure_text(
    model: nn.Module,
    ids: NDArray[np.integer],
    block: int,
    text_bytes: int,
    world: World = ALONE,
    max_windows: int = 0,
) -> Loss:
    """The loss over a row of ids; with `max_windows`, over that many windows, evenly spread.

    The bytes of a part follow from its share of the tokens.
    """
    loss = measure(model, windows(ids, block, max_windows), text_bytes, world)
    share = loss.targets / max(1, len(ids) - 1)
    return replace(loss, bytes=round(text_bytes * share))


def _own_batches(batches: Iterable[Batch], world: World) -> Iterator[Batch]:
    """This process's share of the batches; one without targets where they do not divide evenly."""
    remaining = iter(batches)
    while group := list(islice(remaining, world.size)):
        x, y = group[min(world.rank, len(group) - 1)]
        yield x, (y if world.rank < len(group) else torch.full_like(y, -1))


def row_losses(model: Decoder, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Summed nats and number of targets of each padded row of (N, 2, T), for intervals."""
    nats, targets = np.zeros(len(rows)), np.zeros(len(rows))
    device = model.tokens.weight.device
    with evaluating(model):
        for chosen in _by_length(rows):
            x, y = (half.to(device) for half in trimmed(rows[chosen]))
            is_target = y >= 0
            logits = model.head(model.hidden(x, select=is_target)).float()
            losses = F.cross_entropy(logits, y[is_target], reduction="none").cpu().numpy()
            of_row = is_target.nonzero()[:, 0].cpu().numpy()
            nats[chosen] = np.bincount(of_row, losses, len(chosen))
            targets[chosen] = np.bincount(of_row, minlength=len(chosen))
    return nats, targets


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients, within the context."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
