"""The loop: steps over labelled texts, an early stop by validation, and the best kept.

`training.fit` learns next tokens from one long text and lives through days; a classifier learns a
label a text within minutes. What the two share is the optimizers and the shape of the rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classify.encode import Ids, padded
from pipeline.training.hardware.device import Machine
from pipeline.training.optimizer import optimizers, set_rate
from pipeline.training.schedule import Schedule
from pipeline.training.validation import evaluating
from transformer.classifier import Classifier

BATCH = 16
ALIKE = 8  # batches among which texts of like length are put together
CLIP = 1.0  # largest norm of a gradient
WEIGHT_DECAY = 0.1


@dataclass(frozen=True)
class Labelled:
    """Texts as ids, and the numbers of their classes."""

    texts: Sequence[Ids]
    labels: Sequence[int]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Plan:
    """How long and how fast: an early stop after `patience` passes that were no better."""

    passes: int
    rate: float
    patience: int
    seconds: float = math.inf


@dataclass(frozen=True)
class Passed:
    """Where a run stands after a pass."""

    number: int
    loss: float  # of validation, nats a text
    accuracy: float

    @property
    def merit(self) -> tuple[float, float]:
        """What makes a pass better: more that is right, then less surprise."""
        return self.accuracy, -self.loss


Told = Callable[[int, int, Passed | None], None]  # steps done, of how many, after which pass


def learn(
    classifier: Classifier,
    train: Labelled,
    val: Labelled,
    plan: Plan,
    machine: Machine,
    seed: int,
    told: Told,
) -> Passed:
    """Train what asks for gradients; the classifier ends as it was after the pass returned.

    The best pass has most of the validation part right. Batches and dropout follow from `seed`.
    """
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    found = optimizers(classifier.decoder, WEIGHT_DECAY) + optimizers(classifier.head, WEIGHT_DECAY)
    total = plan.passes * math.ceil(len(train) / BATCH)
    schedule, end, step = Schedule.of(total), time.monotonic() + plan.seconds, 0
    best, kept = Passed(0, math.inf, 0.0), _learned(classifier)
    for number in range(1, plan.passes + 1):
        for chosen in _batches(train.texts, draw):
            set_rate(found, plan.rate * schedule.rate(step))
            _step(classifier, train, chosen, machine, found)
            step += 1
            told(step, total, None)
            if time.monotonic() > end:
                break
        at = validate(classifier, val, machine, number)
        told(step, total, at)
        if at.merit > best.merit:
            best, kept = at, _learned(classifier)
        if time.monotonic() > end or number - best.number >= plan.patience:
            break
    with torch.no_grad():
        for parameter, value in zip(_learning(classifier), kept, strict=True):
            parameter.copy_(value)
    return best


def validate(classifier: Classifier, part: Labelled, machine: Machine, number: int = 0) -> Passed:
    """Mean loss and accuracy over a part."""
    found = probabilities(classifier, part.texts, machine)
    labels = torch.tensor(part.labels)
    accuracy = (found.argmax(dim=1) == labels).double().mean().item()
    return Passed(number, F.nll_loss(found.log(), labels).item(), accuracy)


def probabilities(
    classifier: Classifier,
    texts: Sequence[Ids],
    machine: Machine,
    told: Callable[[int], None] | None = None,
) -> Tensor:
    """The probability of each class (texts, classes), in float64; texts of like length together."""
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    found = torch.empty(len(texts), classifier.classes, dtype=torch.float64)
    with evaluating(classifier):
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            with machine.autocast():
                logits = classifier(padded([texts[n] for n in chosen], machine.device))
            found[chosen] = logits.double().softmax(dim=1).cpu()
            if told is not None:
                told(start + len(chosen))
    return found


def _step(
    classifier: Classifier,
    train: Labelled,
    chosen: Sequence[int],
    machine: Machine,
    found: Sequence[torch.optim.Optimizer],
) -> None:
    classifier.train()
    labels = torch.tensor([train.labels[n] for n in chosen], device=machine.device)
    with machine.autocast():
        logits = classifier(padded([train.texts[n] for n in chosen], machine.device))
    loss: Tensor = F.cross_entropy(logits.float(), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(_learning(classifier), CLIP)
    for optimizer in found:
        optimizer.step()
        optimizer.zero_grad()


def _batches(texts: Sequence[Ids], draw: torch.Generator) -> list[list[int]]:
    """All texts in batches of like length, so that little padding is computed, in any order."""
    mixed: list[int] = torch.randperm(len(texts), generator=draw).tolist()
    alike = BATCH * ALIKE
    order = [
        number
        for start in range(0, len(mixed), alike)
        for number in sorted(mixed[start : start + alike], key=lambda n: len(texts[n]))
    ]
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    return [batches[n] for n in torch.randperm(len(batches), generator=draw).tolist()]


def _learning(classifier: Classifier) -> list[torch.nn.Parameter]:
    return [p for p in classifier.parameters() if p.requires_grad]


def _learned(classifier: Classifier) -> list[Tensor]:
    """A copy of what learns."""
    return [p.detach().clone() for p in _learning(classifier)]
