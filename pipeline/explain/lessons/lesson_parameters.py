"""The four sizes of GPT-2: where their parameters are, and how much memory they take."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.explain.figures import COLOURS
from pipeline.explain.lesson import Lesson, Request, Table
from transformer.blank import blank
from transformer.describe import BYTES, memory, parameters, weights
from transformer.presets import preset

PRESETS = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
GIB = 2**30
TRAINING = ("weights", "gradients", "AdamW")
HATCHES = ("", "//", "..", "xx", "++")


class Size(NamedTuple):
    """A decoder, counted without allocating its weights."""

    parts: dict[str, int]
    uses: dict[str, int]  # of memory, in numbers
    head: int  # what a separate head would add

    @property
    def total(self) -> int:
        """With the tied head, which adds nothing."""
        return sum(self.parts.values())

    def gib(self, use: str, dtype: str = "float32") -> float:
        """How much memory one use takes."""
        return self.uses[use] * BYTES[dtype] / GIB


def count(name: str) -> Size:
    """The preset `name`, by part."""
    decoder = blank(preset(name))
    config = decoder.config
    parts = {n: size for n, size in parameters(weights(decoder)).items() if n != "head"}
    return Size(parts, memory(decoder, config.block), config.vocab_size * config.width)


def lesson(request: Request) -> Lesson:
    """Two tables: by part, and in memory."""
    sizes = {name: count(name) for name in PRESETS}
    small, large = sizes["gpt2"], sizes["gpt2-xl"]
    each = sizes.values()

    def gib(title: str, *uses: str, dtype: str = "float32") -> tuple[str, ...]:
        return title, *(f"{sum(s.gib(use, dtype) for use in uses):.2f}" for s in each)

    cache = next(use for use in small.uses if use.startswith("cache"))
    memory_rows = [
        gib("weights in float32", "weights"),
        gib("weights in bfloat16", "weights", dtype="bfloat16"),
        gib("gradients", "gradients"),
        gib("AdamW's two means", "AdamW"),
        gib("to train with AdamW, all in float32", *TRAINING),
        gib(f"{cache}, float32", cache),
    ]
    part_rows = [(part, *(f"{s.parts[part]:,}" for s in each)) for part in small.parts]
    part_rows.append(("total, tied head", *(f"{s.total:,}" for s in each)))
    part_rows.append(("total, separate head", *(f"{s.total + s.head:,}" for s in each)))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        millions = {part: [s.parts[part] / 1e6 for s in each] for part in small.parts}
        training = {use: [s.gib(use) for s in each] for use in TRAINING}
        _stack(left, "millions of parameters", millions, ",.0f")
        _stack(right, "GiB to train in float32", training, ".1f")

    return Lesson(
        "Parameters: the four sizes of GPT-2",
        (
            f"The smallest has {small.total:,} parameters. They are counted on the decoder of this "
            "project, built without allocating its weights.",
            Table.of("Parameters by part", " | ".join(("part", *sizes)), part_rows),
            "The embedding has a row for each of the 50,257 tokens. GPT-2 uses the same matrix "
            "again as its head (tied); a separate head would add as many parameters again. "
            f"In the smallest model the embedding is {small.parts['embedding'] / small.total:.0%} "
            f"of all parameters, in the largest {large.parts['embedding'] / large.total:.0%}: it "
            "grows with the width, a layer with the square of the width.",
            "A layer of width C has 4 C² weights in attention (queries, keys, values, output) and "
            "8 C² in the feed-forward, which is four times as wide inside: 12 C² in all, plus "
            "biases and norms.",
            Table.of("Memory in GiB", " | ".join(("use", *sizes)), memory_rows),
            "A float32 number takes four bytes, a bfloat16 number two. Training needs the weights, "
            "a gradient for each, and AdamW's two running means for each: four times the weights, "
            "plus the activations, which grow with the batch.",
        ),
        draw,
        (9.0, 4.2),
        (
            "Radford et al. 2019, Language Models are Unsupervised Multitask Learners, table 2, "
            "which says 117M, 345M, 762M and 1542M; the published weights have the numbers above.",
            "Code: transformer/describe.py; `python -m transformer describe gpt2-xl`.",
        ),
    )


def _stack(axes: Axes, title: str, layers: dict[str, list[float]], form: str) -> None:
    """A stacked bar for each preset, with its total on top."""
    base = [0.0] * len(PRESETS)
    for (name, heights), colour, hatch in zip(layers.items(), COLOURS, HATCHES, strict=False):
        axes.bar(PRESETS, heights, 0.65, base, label=name, color=colour, hatch=hatch, edgecolor="w")
        base = [low + height for low, height in zip(base, heights, strict=True)]
    for x, top in enumerate(base):
        axes.text(x, top, format(top, form), ha="center", va="bottom")
    axes.set_title(title)
    axes.legend()
