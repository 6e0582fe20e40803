"""Which way of drawing sounds most like the person? Settings of the chat side by side.

    PYTHONPATH=. python bench/sampling.py workspaces/ana              on the validation part
    PYTHONPATH=. python bench/sampling.py workspaces/ana --moments 40 --each 2

Nothing of the test part is looked at, so that stage 8 stays honest. A row is a setting: how far on
the way from a bundle of other speakers' replies (0 %) to the person's own (100 %) its replies are
attributed, the mean of the habits' distances, distinct-2 beside the person's, the share of replies
that are the same as another, and of those that loop.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import minbpe
from pipeline import texts
from pipeline.config import Chat
from pipeline.evaluation.attribution import Attribution, bundles
from pipeline.evaluation.diversity import diversity
from pipeline.evaluation.habits import habits
from pipeline.evaluation.moments import moments
from pipeline.evaluation.proof import Evidence
from pipeline.evaluation.replies import Reply
from pipeline.evaluation.voice import Voice
from pipeline.files import read_jsonl
from pipeline.serving.facts import read_facts
from pipeline.serving.rules import endings, longest
from pipeline.stages import DIALOGUE_TEXTS, MODEL
from pipeline.training.device import fastest, pick_device
from pipeline.workspace import Workspace
from pipeline.world import ALONE
from transformer.io import load

GRID = {
    "temperature": (0.8, 0.9, 1.0),
    "top_p": (0.95, 1.0),
    "repetition_penalty": (1.0, 1.1),
}
SEED = 7


def main() -> None:
    """Draw, measure, and print a row a setting."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--moments", type=int, default=60)
    parser.add_argument("--each", type=int, default=2, help="replies to a moment")
    args = parser.parse_args()
    workspace = Workspace(args.workspace)
    machine = fastest(workspace.settings.train, pick_device("auto", ALONE))
    facts = read_facts(args.workspace / MODEL)
    rows = list(read_jsonl(args.workspace / DIALOGUE_TEXTS[1]))
    asked = moments(rows, facts.persona, args.moments)
    trained = list(texts.conversations(workspace, "train"))
    evidence = Evidence(facts.persona, asked, (), trained)
    model = Attribution.fit(evidence.turns, evidence.persona, SEED)
    decoder = load(args.workspace / MODEL).to(machine.device, machine.dtype)
    tokenizer = minbpe.load(args.workspace / MODEL / "tokenizer.json")
    real = evidence.real
    others = [
        Reply(text, n)
        for who in model.speakers
        if who != evidence.persona
        for n, text in enumerate(evidence.turns[who][-200:])
    ]
    low, high = (_mean(model, replies) for replies in (others, real))
    usual = evidence.turns[evidence.persona]
    print("temperature  top_p  penalty   way  habits  distinct-2 (person)   same  loops")
    for values in itertools.product(*GRID.values()):
        chat = replace(Chat(), top_k=0, **dict(zip(GRID, values, strict=True)))
        voice = Voice(
            decoder,
            tokenizer,
            chat,
            evidence.persona,
            longest=longest(facts, chat, evidence.persona),
            endings=endings(facts, evidence.persona),
        )
        made = [
            reply
            for n in range(0, len(asked), 16)
            for reply in voice.replies(asked[n : n + 16], args.each, SEED + n)
        ]
        scores, _ = habits(real, made, [], usual, SEED)
        found = diversity(real, made, SEED)
        distances = [s["value"] for s in scores.values() if s["value"] is not None]
        way = (_mean(model, made) - low) / (high - low)
        print(
            f"{values[0]:>11} {values[1]:>6} {values[2]:>8} {way:>5.0%} {np.mean(distances):>7.3f}"
            f" {found['distinct_2']['value']:>11} ({found['distinct_2']['ceiling']})"
            f" {found['same_replies']['value']:>6} {found['loops']['value']:>6}",
            flush=True,
        )


def _mean(model: Attribution, replies: list[Reply]) -> float:
    made = [[reply.text for reply in bundle] for bundle in bundles(replies)]
    return float(np.mean(model.log_odds(made))) if made else float("nan")


if __name__ == "__main__":
    with torch.no_grad():
        main()
