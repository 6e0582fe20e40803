"""The four sizes of GPT-2: where their parameters are, and what they take in memory."""

from __future__ import annotations

from typing import Any, NamedTuple

from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from transformer.decoder import meta_decoder
from transformer.describe import BYTES, memory, parameters, weights
from transformer.presets import preset

SIZES = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
GIB = 2**30
HATCHES = ("", "//", "..", "xx", "++")


class Size(NamedTuple):
    """One decoder, counted without making its weights."""

    parts: dict[str, int]
    uses: dict[str, int]  # of memory, in numbers
    head: int  # what a head of its own would add

    @property
    def total(self) -> int:
        """With the tied head, which adds nothing."""
        return sum(self.parts.values())

    def gib(self, use: str, dtype: str = "float32") -> float:
        """What one use of memory takes."""
        return self.uses[use] * BYTES[dtype] / GIB


def counted(name: str) -> Size:
    """The preset `name`, by part."""
    decoder = meta_decoder(preset(name))
    config = decoder.config
    uses = memory(decoder, config.block)
    return Size(parameters(weights(decoder)), uses, config.vocab_size * config.width)


def _parts(sizes: dict[str, Size]) -> Table:
    names = [name for name in sizes["gpt2"].parts if name != "head"]
    rows = [(name, *(f"{size.parts[name]:,}" for size in sizes.values())) for name in names]
    rows.append(("all, tied head", *(f"{s.total:,}" for s in sizes.values())))
    rows.append(("all, head of its own", *(f"{s.total + s.head:,}" for s in sizes.values())))
    return Table.of("Parameters by part", " | ".join(("part", *sizes)), rows)


def _memory(sizes: dict[str, Size]) -> Table:
    cache = next(use for use in sizes["gpt2"].uses if use.startswith("cache"))
    found = sizes.values()

    def row(title: str, *uses: str, dtype: str = "float32") -> tuple[str, ...]:
        return title, *(f"{sum(s.gib(use, dtype) for use in uses):.2f}" for s in found)

    rows = [
        row("weights in float32", "weights"),
        row("weights in bfloat16", "weights", dtype="bfloat16"),
        row("gradients", "gradients"),
        row("AdamW's two means", "AdamW"),
        row("to train with AdamW, all in float32", "weights", "gradients", "AdamW"),
        row(f"{cache}, float32", cache),
    ]
    return Table.of("Memory in GiB", " | ".join(("use", *sizes)), rows)


def _draw(sizes: dict[str, Size], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    found = sizes.values()
    parts = {
        part: [size.parts[part] / 1e6 for size in found]
        for part in sizes["gpt2"].parts
        if part != "head"
    }
    uses = {use: [size.gib(use) for size in found] for use in ("weights", "gradients", "AdamW")}
    _stacked(left, list(sizes), parts, ",.0f")
    _stacked(right, list(sizes), uses, ".1f")
    left.set_title("millions of parameters")
    right.set_title("GiB to train in float32")


def _stacked(axes: Any, names: list[str], layers: dict[str, list[float]], form: str) -> None:
    from pipeline.explain.plots import COLOURS

    below = [0.0] * len(names)
    for (name, tall), colour, hatch in zip(layers.items(), COLOURS, HATCHES, strict=False):
        how = {"color": colour, "hatch": hatch, "edgecolor": "white", "width": 0.65}
        axes.bar(names, tall, bottom=below, label=name, **how)
        below = [low + high for low, high in zip(below, tall, strict=True)]
    for at, top in enumerate(below):
        axes.text(at, top, format(top, form), ha="center", va="bottom")
    axes.legend()


def explain(asked: Asked) -> Lesson:
    """Two tables: by part, and in memory."""
    sizes = {name: counted(name) for name in SIZES}
    small = sizes["gpt2"]
    return Lesson(
        "Parameters: the four sizes of GPT-2",
        (
            f"The smallest has {small.total:,} parameters. They are counted here on the decoder "
            "of this project, built without memory for its weights.",
            _parts(sizes),
            "The embedding has a row for each of the 50,257 tokens. GPT-2 uses the same matrix "
            "again as its head (tied); a head of its own would add as many numbers once more. "
            f"In the smallest model {small.parts['embedding'] / small.total:.0%} of all "
            "parameters are the embedding, in the largest "
            f"{sizes['gpt2-xl'].parts['embedding'] / sizes['gpt2-xl'].total:.0%}: it grows with "
            "the width, the layers with the square of the width.",
            "A layer of width C has 4 C² weights in attention (queries, keys, values, output) and "
            "8 C² in the feed-forward, which is four times as wide inside: 12 C² in all, besides "
            "biases and norms.",
            _memory(sizes),
            "A number in float32 is four bytes, in bfloat16 two. Training needs the weights, a "
            "gradient for each, and AdamW's two running means for each: four times the weights, "
            "and activations on top, which grow with the batch.",
        ),
        lambda figure: _draw(sizes, figure),
        (9.0, 4.2),
        (
            "Radford et al. 2019, Language Models are Unsupervised Multitask Learners, table 2, "
            "which says 117M, 345M, 762M and 1542M; the published weights have the numbers above.",
            "Code: transformer/describe.py; `python -m transformer describe gpt2-xl`.",
        ),
    )
