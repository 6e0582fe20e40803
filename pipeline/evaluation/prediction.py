"""How well a voice predicts what the person really said, conversation by conversation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.dialogue.turns import Turn
from pipeline.dialogue.windows import EVAL_CONTEXT, examples, padded
from pipeline.evaluation.voice import Voice
from pipeline.training.validation import row_losses

BLOCK = 512  # tokens of a window at most

Column = NDArray[np.float64]
Conversations = Sequence[Sequence[Turn]]


@dataclass(frozen=True)
class Predicted:
    """Sums over the persona's turns in each conversation."""

    bits: Column
    targets: Column
    bytes: Column
    turns: int

    @property
    def nats(self) -> Column:
        return self.bits * math.log(2)


def predict(voice: Voice, conversations: Conversations) -> Predicted:
    """One pass over conversations, in windows."""
    block = min(voice.decoder.config.block, BLOCK)
    found = [
        (number, example)
        for number, conversation in enumerate(conversations)
        for turns in [[voice.renamed(turn) for turn in conversation]]
        for example in examples(
            turns,
            voice.tokenizer,
            [turn.speaker == voice.speaker for turn in turns],
            block,
            "multi",
            EVAL_CONTEXT,
        )
    ]
    rows = [[padded(e.x, block, "right"), padded(e.y, block, "right")] for _, e in found]
    where = np.array([number for number, _ in found], dtype=np.int64)
    if rows:
        nats, targets = row_losses(voice.decoder, np.array(rows, dtype=np.int32))
    else:
        nats = targets = np.zeros(0)
    sizes = np.array([e.bytes for _, e in found], dtype=np.float64)
    bits, wanted, text = (
        np.bincount(where, column, len(conversations)).astype(np.float64)
        for column in (nats / math.log(2), targets, sizes)
    )
    return Predicted(bits, wanted, text, sum(sum(e.learned) for _, e in found))


def spread(conversations: Conversations, voice: Voice, most: int) -> Conversations:
    """The conversations, or evenly spread ones that hold at most `most` tokens, about."""
    sizes = [sum(len(voice.tokenizer.encode(t.text)) for t in c) for c in conversations]
    share = most / max(1, sum(sizes))
    if share >= 1:
        return conversations
    count = max(1, int(len(conversations) * share))
    return [conversations[n * len(conversations) // count] for n in range(count)]
