"""How long a silence separates two conversations, detected from the chat itself.

Every chat has its own pace: in one an answer comes within the minute, in another by the evening.
Yet there are two kinds of gaps between messages, those within a conversation and those between two,
and on a logarithmic axis they form two peaks. The silence is the bottom of the valley between
(Halfaker et al. 2015, "User Session Identification Based on Strong Regularities in Inter-activity
Time", arXiv 1411.2878).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from pipeline.exports.message import Message

MIN_SILENCE, MAX_SILENCE = 10, 8 * 60  # minutes between which the valley is searched for
DEFAULT_SILENCE = 240  # minutes, in a chat with too few long gaps to tell
MIN_LONG_GAPS = 30
BANDWIDTH = 0.5  # of the kernel density, in natural logarithms of minutes


def detect_silence(messages: Iterable[Message]) -> int:
    """The minutes of silence after which a new conversation begins in this chat."""
    return valley(
        abs(after.time - before.time).total_seconds() / 60
        for before, after in pairwise(messages)
        if before.conversation == after.conversation
    )


def valley(gaps: Iterable[float]) -> int:
    """The least dense length of gap, in minutes, by kernel density on a logarithmic axis."""
    minutes = np.fromiter(gaps, dtype=np.float64)
    if (minutes > MIN_SILENCE).sum() < MIN_LONG_GAPS:
        return DEFAULT_SILENCE
    logs, counts = np.unique(np.log(np.maximum(minutes, 0.5)), return_counts=True)
    lengths = np.geomspace(MIN_SILENCE, MAX_SILENCE, 200)
    distances = (np.log(lengths)[:, None] - logs) / BANDWIDTH  # (lengths, gaps)
    density = (counts * np.exp(-0.5 * distances**2)).sum(axis=1)
    return round(float(lengths[density.argmin()]))
