"""How well a voice predicts what the person really said: bits, and the rank of the right reply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.dialogue.turns import Turn
from pipeline.dialogue.windows import EVAL_CONTEXT, examples, padded
from pipeline.evaluation.intervals import Floats, Indices, Scores, ratio_interval, score
from pipeline.evaluation.voice import Voice
from pipeline.training.validation import row_losses

BLOCK = 512  # tokens of a window at most

Conversations = Sequence[Sequence[Turn]]


@dataclass(frozen=True)
class Prediction:
    """Sums over the persona's turns in each conversation."""

    bits: Floats
    targets: Floats
    bytes: Floats
    turns: int

    @property
    def nats(self) -> Floats:
        return self.bits * math.log(2)


def predict(voice: Voice, conversations: Conversations) -> Prediction:
    """One pass over conversations, in windows."""
    block = min(voice.decoder.config.block, BLOCK)
    windows = []
    numbers = []  # of the conversation that each window is from
    for number, conversation in enumerate(conversations):
        turns = [voice.renamed(turn) for turn in conversation]
        own = [turn.speaker == voice.speaker for turn in turns]
        of_one = list(examples(turns, voice.tokenizer, own, block, "multi", EVAL_CONTEXT))
        windows += of_one
        numbers += [number] * len(of_one)
    rows = [[padded(e.x, block, "right"), padded(e.y, block, "right")] for e in windows]
    nats = targets = np.zeros(0)
    if rows:
        nats, targets = row_losses(voice.decoder, np.array(rows, dtype=np.int32))
    sizes = np.array([e.bytes for e in windows], dtype=np.float64)
    of_window = np.array(numbers, dtype=np.int64)
    bits, target_counts, text_bytes = (
        np.bincount(of_window, column, len(conversations)).astype(np.float64)
        for column in (nats / math.log(2), targets, sizes)
    )
    return Prediction(bits, target_counts, text_bytes, sum(sum(e.learned) for e in windows))


def sample_conversations(
    conversations: Conversations, voice: Voice, max_tokens: int
) -> Conversations:
    """The conversations, or evenly spread ones that hold about `max_tokens` tokens."""
    sizes = [sum(len(voice.tokenizer.encode(t.text)) for t in c) for c in conversations]
    fraction = max_tokens / max(1, sum(sizes))
    if fraction >= 1:
        return conversations
    count = max(1, int(len(conversations) * fraction))
    return [conversations[n * len(conversations) // count] for n in range(count)]


def rank_scores(chances: Floats, seed: int) -> Scores:
    """`mean_reciprocal_rank` and `ranked_first` of the right reply, with an interval over rows.

    `chances` has shape (prompts, candidates): log-probabilities, the right reply's in column 0. The
    floor is chance. A tie counts as the mean over the orders it leaves open: two that share first
    place are each half right, and a model that tells nothing apart is at chance.
    """
    names = ("mean_reciprocal_rank", "ranked_first")
    rows, candidates = chances.shape
    if rows < 2 or candidates < 2:
        return {name: score(None, note="too few replies to rank") for name in names}
    harmonic = np.cumsum(np.concatenate([[0.0], 1 / np.arange(1, candidates + 1)]))
    better, ties = _better_and_ties(chances)
    reciprocal = (harmonic[better + ties + 1] - harmonic[better]) / (ties + 1)
    first = (better == 0) / (ties + 1)
    floors = harmonic[-1] / candidates, 1 / candidates
    scores: Scores = {}
    for name, values, floor in zip(names, (reciprocal, first), floors, strict=True):
        low, high = ratio_interval(values, np.ones(rows), seed)
        scores[name] = score(
            float(values.mean()),
            low=low,
            high=high,
            floor=float(floor),
            ceiling=1.0,
            n=rows,
            note=f"among {candidates} replies; floor: chance",
        )
    return scores


def _better_and_ties(chances: Floats) -> tuple[Indices, Indices]:
    """How many candidates are better than the right one, and how many as good; NaN is worst."""
    known = np.where(np.isnan(chances), -np.inf, chances)
    right, others = known[:, :1], known[:, 1:]
    return (others > right).sum(axis=1), (others == right).sum(axis=1)
