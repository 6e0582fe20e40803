"""Rows of unequal length in one batch: -1 fills them up, in x and in y."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from minbpe import RegexTokenizer
from pipeline.dialogue.template import SPECIAL
from pipeline.dialogue.turns import Turn
from pipeline.dialogue.windows import IGNORED, examples, padded
from pipeline.explain import Asked
from pipeline.explain.lesson import Lesson, Table
from pipeline.explain.tiny import sample_tokenizer, shown
from pipeline.training.loss import summed
from transformer.config import ModelConfig
from transformer.decoder import Decoder

PERSONA = "Nour"
CHATS = (
    (Turn("Theo", ("soup tonight?",)), Turn(PERSONA, ("yes", "with bread"))),
    (Turn("Theo", ("Good morning",)), Turn(PERSONA, ("morning",))),
)
BLOCK = 48  # tokens of a window, as far as context goes
LENGTH = 24  # of a row here


class Rows(NamedTuple):
    """x and y of each conversation, (N, 2, LENGTH), and the tokenizer that made them."""

    right: Tensor
    left: Tensor
    tokenizer: RegexTokenizer


def rows() -> Rows:
    """The fine-tuning rows of `CHATS`, made as stage 6 makes them, padded on either side."""
    learned = sample_tokenizer()
    tokenizer = RegexTokenizer(learned.merges, learned.pattern or "", SPECIAL)
    found = [
        example
        for turns in CHATS
        for example in examples(
            turns, tokenizer, [t.speaker == PERSONA for t in turns], BLOCK, "multi"
        )
    ]
    right, left = (
        torch.tensor([[padded(part, LENGTH, side) for part in (e.x, e.y)] for e in found])
        for side in ("right", "left")
    )
    return Rows(right, left, tokenizer)


class Check(NamedTuple):
    """What padding changes, in a new decoder."""

    logits: float  # the largest difference of a real token's logits between the sides
    nats: tuple[float, float]  # mean loss with padding on the right and on the left
    targets: int
    alone: float  # the largest difference from a row that is not padded at all


@torch.no_grad()
def check(found: Rows) -> Check:
    """Compare real tokens' logits and the loss, padded right, left and not at all."""
    config = ModelConfig(vocab_size=found.tokenizer.size, block=BLOCK, width=64, dropout=0.0)
    decoder = Decoder(config, torch.Generator().manual_seed(0)).eval()
    right, left = (decoder(side[:, 0])[side[:, 0] >= 0] for side in (found.right, found.left))
    short = found.right[-1, 0]
    real = decoder(short[short >= 0][None])[0]
    nats, targets = zip(*(summed(decoder, s[:, 0], s[:, 1]) for s in found[:2]), strict=True)
    return Check(
        float((right - left).abs().max()),
        (float(nats[0]) / targets[0], float(nats[1]) / targets[1]),
        targets[0],
        float((right[-len(real) :] - real).abs().max()),
    )


def names(ids: Sequence[int], tokenizer: RegexTokenizer) -> list[str]:
    """Each id as text; padding as a dot."""
    return [shown(tokenizer, [i])[0] if i != IGNORED else "·" for i in ids]


def explain(asked: Asked) -> Lesson:
    """Two conversations as rows of one batch."""
    found = rows()
    tested = check(found)
    x, y = found.right[:, 0], found.right[:, 1]
    real, wanted = int((x >= 0).sum()), int((y >= 0).sum())
    return Lesson(
        "Padding: rows of unequal length in one batch",
        (
            "A batch is a rectangle, conversations are not. Shorter rows are filled up with -1, "
            "which is no token: it stands for nothing in x, and for nothing to learn in y.",
            _side_by_side(found),
            "y is x moved by one: at each token, the one that follows. It is -1 in padding, and "
            f"also where somebody else speaks: only {PERSONA}'s words and the end of the turn are "
            "learned. The names and the other turns are read, not learned.",
            f"Of {x.numel()} places {real} are tokens and {wanted} are targets. The loss sums over "
            "targets alone and is divided by their number, so padding neither helps nor harms.",
            "In the decoder -1 is looked up as some row of the embedding, since a table has no row "
            "-1, but no real token may see it, and positions are counted without it. Padded on "
            f"the left instead of the right, real tokens' logits differ by {tested.logits:.1g}, "
            f"and from a row without padding by {tested.alone:.1g}; the mean loss of the "
            f"{tested.targets} targets is {tested.nats[0]:.4f} and {tested.nats[1]:.4f}.",
            "Left or right makes no difference here. Rows padded on the left all end at the same "
            "place, which is handy where a next token is drawn for several rows at once.",
        ),
        lambda figure: _draw(figure, found),
        (9.6, 4.4),
        (
            "Ignored targets: torch.nn.functional.cross_entropy, ignore_index.",
            "Code: pipeline/dialogue/windows.py, attention_plan.py; docs/stage6-dialogues.md.",
        ),
    )


def _side_by_side(found: Rows) -> Table:
    """The shorter row, x and y in columns, as far as a few places of padding."""
    x, y = found.right[-1].tolist()
    last = sum(i != IGNORED for i in x) + 3
    tokens = zip(x, names(x, found.tokenizer), y, names(y, found.tokenizer), strict=True)
    lines = [(n, i, a, j, b) for n, (i, a, j, b) in enumerate(tokens)][:last]
    return Table.of("The second conversation", "place | x | token | y | token to come", lines, 0)


def _draw(figure: Any, found: Rows) -> None:
    from matplotlib.colors import ListedColormap

    from pipeline.explain.plots import heat, label

    panels = figure.subplots(2, 2, sharex=True)
    titles = (
        ("x, padded on the right", "x, padded on the left"),
        ("y: what is to be learned", "y"),
    )
    for column, side in enumerate((found.right, found.left)):
        for line in (0, 1):
            axes, ids = panels[line, column], side[:, line]
            kinds = (ids >= 0).long() + ((ids >= 0) & (side[:, 1] >= 0)).long()
            shades = ListedColormap(["white", "0.85", "#9ecae1"])
            heat(axes, kinds, titles[line][column], cmap=shades, vmin=0, vmax=2, aspect="auto")
            for row, values in enumerate(ids.tolist()):
                for at, name in enumerate(names(values, found.tokenizer)):
                    mark = "-1" if values[at] == IGNORED else label(name)
                    axes.text(at, row, mark, rotation=90, ha="center", va="center", fontsize=6.5)
            axes.set(xticks=[], yticks=[0, 1], yticklabels=["chat 1", "chat 2"])
    figure.supxlabel(
        "blue: followed by something to learn, or that itself; grey: read only; white: padding"
    )
