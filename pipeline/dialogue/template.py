"""The one place that renders a conversation: token ids and loss mask together.

    <|startoftext|> speaker <|separator|> text <|endoftext|>

one such unit a turn. The pretraining text, the fine-tuning set and the live chat all call these
functions, so training and use cannot drift apart. Only this file mints special ids: names and
texts are encoded as ordinary text, whatever they look like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from pipeline.dialogue.turns import Turn

START, SEPARATOR, END = "<|startoftext|>", "<|separator|>", "<|endoftext|>"
SPECIAL = (START, SEPARATOR, END, "<|unk|>", "<|padding|>")


class Encoder(Protocol):
    """What the template needs of a tokenizer."""

    special: dict[str, int]

    def encode(self, text: str) -> list[int]:
        """Ids of ordinary text; never a special id."""


@dataclass(frozen=True)
class Rendered:
    """One turn: its ids, and for each whether it is to be learned."""

    ids: list[int]
    mask: list[bool]


def opening(speaker: str, tokenizer: Encoder) -> list[int]:
    """The ids after which a speaker's text follows: what a reply is generated from."""
    special = tokenizer.special
    return [special[START], *tokenizer.encode(speaker), special[SEPARATOR]]


def render_turn(turn: Turn, tokenizer: Encoder, learned: bool) -> Rendered:
    """One turn. When `learned`, its text and end are targets; its speaker never is."""
    head = opening(turn.speaker, tokenizer)
    body = [*tokenizer.encode(turn.text), tokenizer.special[END]]
    return Rendered(head + body, [False] * len(head) + [learned] * len(body))


def render(
    turns: Iterable[Turn], tokenizer: Encoder, learned: Callable[[Turn], bool] = lambda turn: True
) -> tuple[list[int], list[bool]]:
    """A conversation as ids and loss mask, both of the same length."""
    ids: list[int] = []
    mask: list[bool] = []
    for turn in turns:
        unit = render_turn(turn, tokenizer, learned(turn))
        ids += unit.ids
        mask += unit.mask
    return ids, mask
