"""The table of topics. Importing it loads no lesson, and so neither torch nor matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module

from pipeline.common.errors import SettingsError
from pipeline.explain.lesson import Lesson, Request


@dataclass(frozen=True)
class Topic:
    """What a lesson is about, and what it accepts."""

    about: str
    max_texts: int = 0  # of the user's own
    takes_model: bool = False  # whether it shows a trained model, which may be a workspace's


TOPICS: Mapping[str, Topic] = {
    "forward": Topic("ids, the shape after every part, logits", max_texts=8),
    "generate": Topic("the five most likely tokens, untrained and trained", 1, takes_model=True),
    "loss": Topic("loss, gradient and one update by hand"),
    "parameters": Topic("the four sizes of GPT-2, by part and in memory"),
    "normalization": Topic("LayerNorm, BatchNorm, padding, and features of unequal scale"),
    "gradients": Topic("vanishing and exploding gradients, and residual connections"),
    "activations": Topic("ReLU, LeakyReLU, SiLU, GELU and SwiGLU"),
    "positions": Topic("sinusoidal waves, RoPE's rotations, relative buckets"),
    "masks": Topic("which tokens see each other, in every attention pattern"),
    "attention": Topic("where the heads of a trained model look", 1, takes_model=True),
    "lora": Topic("a few numbers that change a large matrix"),
    "padding": Topic("rows padded with -1, x and y side by side"),
    "memmap": Topic("why token ids are stored in a memory-mapped file, not in a pickle"),
}


def load_lesson(name: str, request: Request) -> Lesson:
    """The lesson on a topic.

    Raises SettingsError for an unknown topic (suggesting similar ones) and for texts or a model
    that the topic does not take.
    """
    topic = TOPICS.get(name)
    if topic is None:
        near = get_close_matches(name, TOPICS, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"pick one of {', '.join(TOPICS)}."
        raise SettingsError(f"There is no topic {name!r}: {hint}")
    if len(request.texts) > topic.max_texts:
        plural = "s" * (topic.max_texts > 1)
        limit = f"at most {topic.max_texts} text{plural}" if topic.max_texts else "no text"
        others = ", ".join(n for n, t in TOPICS.items() if t.max_texts)
        raise SettingsError(f"{name} takes {limit}; texts are for {others}, each in quotes.")
    if request.workspace is not None and not topic.takes_model:
        others = " and ".join(n for n, t in TOPICS.items() if t.takes_model)
        raise SettingsError(f"{name} uses no trained model; --workspace is for {others}.")
    lesson: Lesson = import_module(f"pipeline.explain.lessons.lesson_{name}").lesson(request)
    return lesson
