"""`python -m pipeline explain TOPIC`: a lesson in the terminal, and its picture as a PNG.

One file a topic, each with `explain(asked) -> Lesson`. Every number of a lesson comes from the
parts that train and talk, so that no lesson can drift from the code. Importing this file loads
none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pipeline.common.errors import SettingsError


@dataclass(frozen=True)
class Asked:
    """What the command line says beside the topic."""

    texts: tuple[str, ...] = ()
    workspace: Path | None = None


@dataclass(frozen=True)
class Topic:
    """What a lesson is about, and what it can be given."""

    about: str
    texts: int = 0  # at most so many of the user's own
    model: bool = False  # looks at a trained model, which may be a workspace's


TOPICS: Mapping[str, Topic] = {
    "forward": Topic("ids, the shape after every part, logits", texts=8),
    "generate": Topic("the five likeliest tokens, untrained beside trained", texts=1, model=True),
    "loss": Topic("loss, gradient and one update by hand"),
    "parameters": Topic("the four sizes of GPT-2, by part and in memory"),
    "normalization": Topic("LayerNorm, BatchNorm, padding, and unequal scales"),
    "gradients": Topic("vanishing, exploding, and what a shortcut does"),
    "activations": Topic("ReLU, LeakyReLU, SiLU, GELU and SwiGLU"),
    "positions": Topic("sinusoidal waves, RoPE's rotations, relative buckets"),
    "masks": Topic("who may see whom, in every pattern"),
    "attention": Topic("where the heads of a trained model look", texts=1, model=True),
    "lora": Topic("few numbers that change a large matrix"),
    "padding": Topic("rows of -1, x and y side by side"),
    "memmap": Topic("why the ids lie in a mapped file, not in a pickle"),
}


def find(name: str, asked: Asked) -> Topic:
    """The topic `name`; raises SettingsError where there is none or it cannot take what is asked.

    The message names what is near or possible.
    """
    topic = TOPICS.get(name)
    if topic is None:
        near = get_close_matches(name, TOPICS, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"pick one of {', '.join(TOPICS)}."
        raise SettingsError(f"There is no topic {name!r}: {hint}")
    if len(asked.texts) > topic.texts:
        can = ", ".join(n for n, t in TOPICS.items() if t.texts)
        limit = f"at most {topic.texts} text{'s' * (topic.texts > 1)}" if topic.texts else "no text"
        raise SettingsError(f"{name} takes {limit}; texts are for {can}, each in quotes.")
    if asked.workspace is not None and not topic.model:
        can = " and ".join(n for n, t in TOPICS.items() if t.model)
        raise SettingsError(f"{name} looks at no trained model; --workspace is for {can}.")
    return topic
