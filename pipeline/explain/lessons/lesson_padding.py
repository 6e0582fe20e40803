"""Rows of unequal length in one batch: padded with -1, in x and in y."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from minbpe import RegexTokenizer
from pipeline.dialogue.template import SPECIAL
from pipeline.dialogue.turns import Turn
from pipeline.dialogue.windows import IGNORED, examples, padded
from pipeline.explain.figures import escaped, heat
from pipeline.explain.lesson import Lesson, Request, Table
from pipeline.explain.tiny_model import sample_tokenizer, token_names
from pipeline.training.loss import summed
from transformer.config import ModelConfig
from transformer.decoder import Decoder

PERSONA = "Nour"
CHATS = (
    (Turn("Theo", ("soup tonight?",)), Turn(PERSONA, ("yes", "with bread"))),
    (Turn("Theo", ("Good morning",)), Turn(PERSONA, ("morning",))),
)
BLOCK = 48  # tokens of a window, at most
LENGTH = 24  # of a row here


class Rows(NamedTuple):
    """x and y of each conversation, (N, 2, LENGTH), and the tokenizer that made them."""

    right: Tensor
    left: Tensor
    tokenizer: RegexTokenizer


def rows() -> Rows:
    """The fine-tuning rows of `CHATS`, made as stage 6 makes them, padded on either side."""
    plain = sample_tokenizer()
    tokenizer = RegexTokenizer(plain.merges, plain.pattern or "", SPECIAL)
    pairs = []
    for turns in CHATS:
        learned = [turn.speaker == PERSONA for turn in turns]
        pairs += [(e.x, e.y) for e in examples(turns, tokenizer, learned, BLOCK, "multi")]
    right, left = (
        torch.tensor([[padded(ids, LENGTH, side) for ids in pair] for pair in pairs])
        for side in ("right", "left")
    )
    return Rows(right, left, tokenizer)


class Check(NamedTuple):
    """What padding changes, in an untrained decoder."""

    sides: float  # the largest difference of a real token's logits, padded right and left
    losses: tuple[float, float]  # mean nats with padding on the right and on the left
    targets: int
    unpadded: float  # the largest difference from a row without padding


@torch.no_grad()
def check(batch: Rows) -> Check:
    """Compare real tokens' logits and the loss, padded right, left and not at all."""
    config = ModelConfig(vocab_size=batch.tokenizer.size, block=BLOCK, width=64, dropout=0.0)
    decoder = Decoder(config, torch.Generator().manual_seed(0)).eval()
    right, left = (decoder(x)[x >= 0] for x in (batch.right[:, 0], batch.left[:, 0]))
    last = batch.right[-1, 0]
    unpadded = decoder(last[last >= 0][None])[0]
    nats, targets = zip(
        *(summed(decoder, *side.unbind(1)) for side in (batch.right, batch.left)), strict=True
    )
    return Check(
        float((right - left).abs().max()),
        (float(nats[0]) / targets[0], float(nats[1]) / targets[1]),
        targets[0],
        float((right[-len(unpadded) :] - unpadded).abs().max()),
    )


def names(ids: Sequence[int], tokenizer: RegexTokenizer) -> list[str]:
    """Each token as visible text; padding as a dot."""
    return [token_names(tokenizer, [i])[0] if i != IGNORED else "·" for i in ids]


def lesson(request: Request) -> Lesson:
    """Two conversations as rows of one batch."""
    batch = rows()
    checked = check(batch)
    x, y = batch.right.unbind(1)
    right_loss, left_loss = checked.losses
    short_x, short_y = batch.right[-1].tolist()
    shown = sum(i != IGNORED for i in short_x) + 3  # with a little padding
    columns = (short_x, names(short_x, batch.tokenizer), short_y, names(short_y, batch.tokenizer))
    lines = list(zip(range(shown), *columns, strict=False))
    return Lesson(
        "Padding: rows of unequal length in one batch",
        (
            "A batch is a rectangle; conversations are not. Shorter rows are padded with -1, "
            "which is no token: in x it stands for nothing, in y for nothing to predict.",
            Table.of("The second conversation", "index | x | token | y | next token", lines, 0),
            "y is x shifted by one: for each token, the one that follows. It is -1 in padding, and "
            f"also where somebody else speaks: only {PERSONA}'s words and the end of the turn are "
            "targets. Names and other people's turns are context only.",
            f"Of {x.numel()} entries, {int((x >= 0).sum())} are tokens and {int((y >= 0).sum())} "
            "are targets. The loss is summed over the targets and divided by their number, so "
            "padding neither helps nor harms.",
            "In the decoder, -1 is looked up as some other row of the embedding, since there is no "
            "row -1, but no real token may see it, and it takes no position. Padded on the left "
            f"instead of the right, the logits of real tokens differ by {checked.sides:.1g}, and "
            f"from a row without padding by {checked.unpadded:.1g}; the mean loss of the "
            f"{checked.targets} targets is {right_loss:.4f} and {left_loss:.4f}.",
            "Left or right makes no difference here. Rows padded on the left all end at the same "
            "index, which is handy when generating the next token of several rows at once.",
        ),
        lambda figure: _draw(figure, batch),
        (9.6, 4.4),
        (
            "Ignored targets: torch.nn.functional.cross_entropy, ignore_index.",
            "Code: pipeline/dialogue/windows.py, transformer/padding.py; docs/stage6-dialogues.md.",
        ),
    )


def _draw(figure: Figure, batch: Rows) -> None:
    panels = figure.subplots(2, 2, sharex=True)
    shades = ListedColormap(["white", "0.85", "#9ecae1"])
    for column, (side, where) in enumerate(((batch.right, "right"), (batch.left, "left"))):
        is_target = side[:, 1] >= 0
        titles = (f"x, padded on the {where}", "y: the targets")
        for axes, ids, title in zip(panels[:, column], side.unbind(1), titles, strict=True):
            kinds = (ids >= 0).long() + ((ids >= 0) & is_target).long()
            heat(axes, kinds, title, shades, (0, 2), stretch=True)
            for row, values in enumerate(ids.tolist()):
                for n, name in enumerate(names(values, batch.tokenizer)):
                    text = "-1" if values[n] == IGNORED else escaped(name)
                    axes.text(n, row, text, rotation=90, ha="center", va="center", fontsize=6.5)
            axes.set(xticks=[], yticks=[0, 1], yticklabels=["chat 1", "chat 2"])
    figure.supxlabel("blue: a target, or followed by one; grey: context only; white: padding")
