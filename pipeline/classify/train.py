"""From a base and labelled texts to a trained classifier: all of the base learns, or its top."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from pipeline.classify import frozen
from pipeline.classify.base import Base, machine_for
from pipeline.classify.encode import Encoder, Ids
from pipeline.classify.learn import Labelled, Passed, Plan, Told, learn
from pipeline.classify.parts import Part
from pipeline.common.screen import Bar, Screen
from pipeline.training.hardware.device import Machine
from transformer.classifier import Classifier

# How the weights were made → how they are trained.
NEW = Plan(passes=20, rate=1e-3, patience=8)
SMALL = Plan(passes=15, rate=3e-4, patience=4)
TOP = Plan(passes=8, rate=1e-3, patience=4)


@dataclass(frozen=True)
class Trained:
    """A classifier with what it reads texts with, and how well it did in validation."""

    classifier: Classifier
    encoder: Encoder
    best: Passed
    cut: int  # texts longer than the encoder reads


def train(
    base: Base,
    classes: int,
    parts: tuple[Part, Part],
    seed: int,
    screen: Screen,
    seconds: float = math.inf,
) -> Trained:
    """Train on the first of `parts`, stop by the second; the decoder of `base` is changed."""
    encoder = Encoder(base.tokenizer, base.decoder.config.block)
    texts, cut = encoder.encode([text for part in parts for text in part.texts])
    classifier = Classifier(base.decoder, classes, torch.Generator().manual_seed(seed))
    machine = machine_for(base.decoder)
    learning = classifier.to(machine.device)
    if base.learned < base.decoder.config.layers:
        learning, texts = _top(classifier, base.learned, texts, machine, screen)
    first = len(parts[0])
    train, val = Labelled(texts[:first], parts[0].labels), Labelled(texts[first:], parts[1].labels)
    limited = replace(plan(base), seconds=seconds)
    with screen.bar("training", None) as bar:
        best = learn(learning, train, val, limited, machine, seed, _shown(bar))
    classifier.requires_grad_(True)
    return Trained(classifier.eval(), encoder, best, cut)


def plan(base: Base) -> Plan:
    """How a base is trained."""
    if base.is_new:
        return NEW
    return SMALL if base.learned == base.decoder.config.layers else TOP


def _top(
    classifier: Classifier, learned: int, texts: list[Ids], machine: Machine, screen: Screen
) -> tuple[Classifier, list[Ids]]:
    """A classifier of the last blocks alone, and the texts as its ids. It shares what learns."""
    decoder = classifier.decoder
    with screen.bar("reading texts", len(texts), count=True) as bar:
        states = frozen.states(frozen.lower(decoder, learned), texts, machine, bar.to)
    top = Classifier(frozen.upper(decoder, learned, states), classifier.classes)
    top.head = classifier.head
    return top, frozen.rows_of(texts)


def _shown(bar: Bar) -> Told:
    def show(step: int, total: int, passed: Passed | None) -> None:
        note = None
        if passed is not None:
            note = f"pass {passed.number}, validation {passed.accuracy:.1%}"
        bar.to(step, total, note)

    return show
