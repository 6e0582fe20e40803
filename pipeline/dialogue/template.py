"""The one place that renders a conversation: token ids and loss mask together.

    <|startoftext|> speaker <|separator|> text <|endoftext|>

one such unit a turn; a pretrained base with chat markers of its own keeps those, with the speaker
in the place of the role. The pretraining text, the fine-tuning set and the live chat all call these
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
class Markers:
    """What stands around a turn: special tokens by name, and pieces of ordinary text."""

    start: str
    between: tuple[str, ...]  # after the speaker, before the text
    end: str
    after: tuple[str, ...] = ()

    def fit(self, tokenizer: Encoder) -> bool:
        """Whether the tokenizer has all the special tokens among them."""
        pieces = (self.start, *self.between, self.end, *self.after)
        return all(piece in tokenizer.special for piece in pieces if not piece.isspace())


# By the name that chat.json keeps. A tokenizer has the first that fit it.
TEMPLATES = {
    "turns-1": Markers(START, (SEPARATOR,), END),
    "chatml": Markers("<|im_start|>", ("\n",), "<|im_end|>", ("\n",)),
    "llama-3": Markers("<|start_header_id|>", ("<|end_header_id|>", "\n\n"), "<|eot_id|>"),
}


def template_of(tokenizer: Encoder) -> str | None:
    """The name of the template that a tokenizer has the special tokens for, if any."""
    return next((name for name, found in TEMPLATES.items() if found.fit(tokenizer)), None)


def markers(tokenizer: Encoder) -> Markers:
    """What stands around a turn in a tokenizer's own way of writing."""
    return next(found for found in TEMPLATES.values() if found.fit(tokenizer))


def end_id(tokenizer: Encoder) -> int:
    """The id that ends a turn: where a reply stops."""
    return tokenizer.special[markers(tokenizer).end]


def document_end(tokenizer: Encoder) -> int:
    """The id between documents of plain text."""
    return tokenizer.special.get(END, end_id(tokenizer))


def opening(speaker: str, tokenizer: Encoder) -> list[int]:
    """The ids after which a speaker's text follows: what a reply is generated from."""
    found = markers(tokenizer)
    head = [tokenizer.special[found.start], *tokenizer.encode(speaker)]
    return head + _ids(found.between, tokenizer)


def closing(tokenizer: Encoder) -> list[int]:
    """The ids that follow a speaker's text."""
    return [end_id(tokenizer), *_ids(markers(tokenizer).after, tokenizer)]


def _ids(pieces: Iterable[str], tokenizer: Encoder) -> list[int]:
    special = tokenizer.special
    return [
        i
        for piece in pieces
        for i in ([special[piece]] if piece in special else tokenizer.encode(piece))
    ]


@dataclass(frozen=True)
class Rendered:
    """One turn: its ids, and for each whether it is to be learned."""

    ids: list[int]
    mask: list[bool]


def render_turn(turn: Turn, tokenizer: Encoder, learned: bool) -> Rendered:
    """One turn. When `learned`, its text and its end are targets; its speaker never is."""
    head = opening(turn.speaker, tokenizer)
    body = tokenizer.encode(turn.text)
    tail = closing(tokenizer)
    rest = len(tail) - 1
    mask = [False] * len(head) + [learned] * (len(body) + 1) + [False] * rest
    return Rendered(head + body + tail, mask)


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
