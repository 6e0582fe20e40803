"""How long a silence parts two conversations, read off the chat itself.

Every chat has its own pace: in one an answer comes within the minute, in another by the evening.
Yet the gaps between messages are of two kinds, those within a conversation and those between two,
and on a logarithmic axis they make two hills. The silence is the bottom of the valley between
(Halfaker et al. 2015, "User Session Identification Based on Strong Regularities in Inter-activity
Time", arXiv 1411.2878).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from pipeline.exports.message import Message

SHORTEST, LONGEST = 10, 8 * 60  # minutes between which the valley is looked for
USUAL = 240  # where a chat has too few long gaps to tell
FEW = 30
WIDTH = 0.5  # of the smoothing, in powers of e


def fitting(messages: Iterable[Message]) -> int:
    """The minutes of silence after which a new conversation begins in this chat."""
    return valley(
        abs(after.time - before.time).total_seconds() / 60
        for before, after in pairwise(messages)
        if before.conversation == after.conversation
    )


def valley(gaps: Iterable[float]) -> int:
    """The length, in minutes, that gaps have least often; on a logarithmic axis, smoothed."""
    found = np.fromiter(gaps, dtype=np.float64)
    if (found > SHORTEST).sum() < FEW:
        return USUAL
    logs, counts = np.unique(np.log(np.maximum(found, 0.5)), return_counts=True)
    lengths = np.geomspace(SHORTEST, LONGEST, 200)
    away = (np.log(lengths)[:, None] - logs) / WIDTH  # (lengths, gaps)
    density = (counts * np.exp(-0.5 * away**2)).sum(axis=1)
    return round(float(lengths[density.argmin()]))
