"""From a backbone and labelled texts to a trained classifier; from a classifier to probabilities.

The language model's training loop predicts next tokens of one long text and runs for days; a
classifier predicts one label per text and is done in minutes, so it has a loop of its own. The two
share the optimizers and the learning-rate schedule.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classify import frozen_blocks
from pipeline.classify.backbone import Backbone, machine_for
from pipeline.classify.splits import Examples
from pipeline.classify.text_encoder import BATCH, Ids, Progress, TextEncoder, batches_by_length, pad
from pipeline.common.screen import Screen
from pipeline.training.hardware.device import Machine
from pipeline.training.optimizer import optimizers, set_rate
from pipeline.training.schedule import Schedule
from pipeline.training.validation import evaluating
from transformer.classifier import Classifier

POOL = 8  # batches within which texts are sorted by length
MAX_GRADIENT_NORM = 1.0
WEIGHT_DECAY = 0.1


@dataclass(frozen=True)
class Budget:
    """How long and how fast to train; `patience` epochs without improvement end it early."""

    epochs: int
    learning_rate: float
    patience: int
    seconds: float = math.inf


NEW_MODEL = Budget(epochs=20, learning_rate=1e-3, patience=8)
WHOLE_MODEL = Budget(epochs=15, learning_rate=3e-4, patience=4)
TOP_BLOCKS = Budget(epochs=8, learning_rate=1e-3, patience=4)


@dataclass(frozen=True)
class Epoch:
    """Validation after an epoch."""

    number: int
    loss: float  # nats per text
    accuracy: float

    @property
    def score(self) -> tuple[float, float]:
        """Higher is better: accuracy first, then the lower loss."""
        return self.accuracy, -self.loss


Report = Callable[[int, int, Epoch | None], None]  # step, total steps, and the epoch just finished


@dataclass(frozen=True)
class Trained:
    """A classifier, the encoder for its texts, and its best epoch."""

    classifier: Classifier
    encoder: TextEncoder
    best: Epoch
    truncated: int  # texts longer than the encoder reads


def train_classifier(
    backbone: Backbone,
    classes: int,
    train: Examples[str],
    val: Examples[str],
    seed: int,
    screen: Screen,
    seconds: float = math.inf,
) -> Trained:
    """Train on `train` and stop early by `val`. Changes the backbone's decoder."""
    decoder = backbone.decoder
    encoder = TextEncoder(backbone.tokenizer, decoder.config.block)
    ids, truncated = encoder.encode([*train.texts, *val.texts])
    classifier = Classifier(decoder, classes, torch.Generator().manual_seed(seed))
    machine = machine_for(decoder)
    trainee = classifier.to(machine.device)
    if not backbone.trains_all:  # train a classifier of the top blocks, which shares its weights
        blocks = backbone.trained_blocks
        with screen.bar("reading texts", len(ids), count=True) as bar:
            lower = frozen_blocks.lower_part(decoder, blocks)
            states = frozen_blocks.hidden_states(lower, ids, machine, bar.to)
        trainee = Classifier(frozen_blocks.upper_part(decoder, blocks, states), classes)
        trainee.head = classifier.head
        ids = frozen_blocks.row_numbers(ids)
    encoded = (Examples(ids[: len(train)], train.labels), Examples(ids[len(train) :], val.labels))
    budget = WHOLE_MODEL if backbone.trains_all else TOP_BLOCKS
    budget = replace(NEW_MODEL if backbone.is_new else budget, seconds=seconds)
    with screen.bar("training", None) as bar:

        def report(step: int, total: int, epoch: Epoch | None) -> None:
            note = (
                None
                if epoch is None
                else f"epoch {epoch.number}, validation accuracy {epoch.accuracy:.1%}"
            )
            bar.to(step, total, note)

        best = fit_classifier(trainee, *encoded, budget, machine, seed, report)
    classifier.requires_grad_(True)
    return Trained(classifier.eval(), encoder, best, truncated)


def fit_classifier(
    classifier: Classifier,
    train: Examples[Ids],
    val: Examples[Ids],
    budget: Budget,
    machine: Machine,
    seed: int,
    report: Report,
) -> Epoch:
    """Train all parameters that require gradients; leaves the weights of the best epoch.

    Batches and dropout follow from `seed`.
    """
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    parameters = [p for p in classifier.parameters() if p.requires_grad]
    optims = optimizers(classifier.decoder, WEIGHT_DECAY)
    optims += optimizers(classifier.head, WEIGHT_DECAY)
    total = budget.epochs * math.ceil(len(train) / BATCH)
    schedule, deadline, step = Schedule.of(total), time.monotonic() + budget.seconds, 0
    best, best_weights = Epoch(0, math.inf, 0.0), [p.detach().clone() for p in parameters]
    for number in range(1, budget.epochs + 1):
        for chosen in _random_batches(train.texts, rng):
            set_rate(optims, budget.learning_rate * schedule.rate(step))
            classifier.train()
            labels = torch.tensor([train.labels[n] for n in chosen], device=machine.device)
            with machine.autocast():
                logits = classifier(pad([train.texts[n] for n in chosen], machine.device))
            loss: Tensor = F.cross_entropy(logits.float(), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
            for optimizer in optims:
                optimizer.step()
                optimizer.zero_grad()
            step += 1
            report(step, total, None)
            if time.monotonic() > deadline:
                break
        epoch = validate(classifier, val, machine, number)
        report(step, total, epoch)
        if epoch.score > best.score:
            best, best_weights = epoch, [p.detach().clone() for p in parameters]
        if time.monotonic() > deadline or number - best.number >= budget.patience:
            break
    with torch.no_grad():
        for parameter, value in zip(parameters, best_weights, strict=True):
            parameter.copy_(value)
    return best


def _random_batches(texts: Sequence[Ids], rng: torch.Generator) -> list[list[int]]:
    """All texts in random batches of similar length, so that little padding is computed."""
    shuffled: list[int] = torch.randperm(len(texts), generator=rng).tolist()
    order = [
        number
        for start in range(0, len(shuffled), BATCH * POOL)
        for number in sorted(shuffled[start : start + BATCH * POOL], key=lambda n: len(texts[n]))
    ]
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    return [batches[n] for n in torch.randperm(len(batches), generator=rng).tolist()]


def validate(classifier: Classifier, part: Examples[Ids], machine: Machine, epoch: int) -> Epoch:
    """Mean loss and accuracy over a split."""
    predicted = probabilities(classifier, part.texts, machine)
    labels = torch.tensor(part.labels)
    accuracy = (predicted.argmax(dim=1) == labels).double().mean().item()
    return Epoch(epoch, F.nll_loss(predicted.log(), labels).item(), accuracy)


def probabilities(
    classifier: Classifier, texts: Sequence[Ids], machine: Machine, progress: Progress | None = None
) -> Tensor:
    """The probability of each class, (texts, classes) in float64."""
    result = torch.empty(len(texts), classifier.classes, dtype=torch.float64)
    with evaluating(classifier):
        for chosen, ids in batches_by_length(texts, machine.device, progress):
            with machine.autocast():
                logits = classifier(ids)
            result[chosen] = logits.double().softmax(dim=1).cpu()
    return result
