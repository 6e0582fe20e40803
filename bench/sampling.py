"""Which sampling settings sound most like the person? Settings of the chat side by side.

    PYTHONPATH=. python bench/sampling.py workspaces/ana              on the validation part
    PYTHONPATH=. python bench/sampling.py workspaces/ana --moments 40 --each 2

Nothing of the test part is looked at, so that stage 8 stays honest. A row is a setting: how far on
the way from the floor (the untuned base's replies at the same moments, drawn the same way; without
a base, other speakers' real ones) to the person's own the replies are attributed, the mean of the
habits' distances, distinct-2 beside the person's, the share of replies that are the same as
another, and of those that loop.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import minbpe
from pipeline.common.files import read_jsonl
from pipeline.common.processes import ALONE
from pipeline.dialogue import training_text
from pipeline.evaluation.attribution import Attribution, bundles
from pipeline.evaluation.diversity import diversity
from pipeline.evaluation.habits import habits
from pipeline.evaluation.likeness import Evidence
from pipeline.evaluation.moments import Moment, Reply, moments
from pipeline.evaluation.voice import Voice
from pipeline.serving.model_card import ModelCard
from pipeline.serving.rules import ending_rules, max_tokens
from pipeline.training.hardware.device import fastest, pick_device
from pipeline.workspace.settings import Chat
from pipeline.workspace.stages import DIALOGUE_TEXTS, MODEL, PRETRAINED, TOKENIZER
from pipeline.workspace.workspace import Workspace
from transformer.io import load

GRID = list(itertools.product((0.8, 0.9, 1.0), (0.9, 0.95, 1.0)))  # temperature, top_p
AT_ONCE = 32
SEED = 7


def main() -> None:
    """Draw, measure, and print a row a setting."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--moments", type=int, default=60)
    parser.add_argument("--each", type=int, default=2, help="replies to a moment")
    args = parser.parse_args()
    workspace = Workspace(args.workspace)
    card = ModelCard.read(args.workspace / MODEL)
    rows = list(read_jsonl(args.workspace / DIALOGUE_TEXTS[1]))
    asked = moments(rows, card.persona, args.moments)
    trained = list(training_text.conversations(workspace, "train"))
    evidence = Evidence(card.persona, moments(rows, card.persona), (), trained)
    model = Attribution.fit(evidence.turns, evidence.persona, SEED)
    own, base = (_voice(workspace, card, folder) for folder in (MODEL, PRETRAINED))
    real, usual = evidence.real, evidence.turns[evidence.persona]
    high = _mean(model, real)
    print("temperature  top_p  floor   made   real   way  habits  distinct-2 (person)  same  loops")
    for temperature, top_p in GRID:
        chat = replace(Chat(), temperature=temperature, top_p=top_p)
        made = _drawn(replace(own, chat=chat), asked, args.each)
        if workspace.settings.source.base:
            low = _mean(model, _drawn(replace(base, chat=chat), asked, args.each))
        else:
            low = _mean(model, _others(model, evidence))
        scores, _ = habits(real, made, [], usual, SEED)
        scores = diversity(real, made, SEED)
        distances = [s["value"] for s in scores.values() if s["value"] is not None]
        middle = _mean(model, made)
        print(
            f"{temperature:>11} {top_p:>6} {low:>6.2f} {middle:>6.2f} {high:>6.2f}"
            f" {(middle - low) / (high - low):>5.0%} {np.mean(distances):>7.3f}"
            f" {scores['distinct_2']['value']:>11} ({scores['distinct_2']['ceiling']})"
            f" {scores['same_replies']['value']:>6} {scores['loops']['value']:>6}",
            flush=True,
        )


def _voice(workspace: Workspace, card: ModelCard, folder: str) -> Voice:
    machine = fastest(workspace.settings.train, pick_device("auto", ALONE))
    machine.use()
    chat = Chat()
    return Voice(
        load(workspace.path / folder).to(machine.device, machine.dtype),
        minbpe.load(workspace.path / TOKENIZER),
        chat,
        card.persona,
        max_tokens=max_tokens(card, chat, card.persona),
        endings=ending_rules(card, card.persona),
    )


def _drawn(voice: Voice, asked: list[Moment], each: int) -> list[Reply]:
    return [
        reply
        for n in range(0, len(asked), AT_ONCE)
        for reply in voice.replies(asked[n : n + AT_ONCE], each, SEED + n)
    ]


def _others(model: Attribution, evidence: Evidence) -> list[Reply]:
    """The newest real turns of the other speakers."""
    return [
        Reply(text, n)
        for who in model.speakers
        if who != evidence.persona
        for n, text in enumerate(evidence.turns[who][-200:])
    ]


def _mean(model: Attribution, replies: list[Reply]) -> float:
    made = [[reply.text for reply in bundle] for bundle in bundles(replies)]
    return float(np.mean(model.log_odds(made))) if made else float("nan")


if __name__ == "__main__":
    with torch.no_grad():
        main()
