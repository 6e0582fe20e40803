"""The one place that renders a conversation, as token ids and loss mask together.

    <|startoftext|> speaker <|separator|> text <|endoftext|>

is one turn; a pretrained base with chat markers of its own keeps those, with the speaker in place
of the role. The pretraining text, the fine-tuning set and the live chat all call these functions,
so training and use cannot drift apart. Only this file creates special ids: names and texts are
encoded as ordinary text, whatever they look like.
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
    """What surrounds a turn: names of special tokens, and whitespace encoded as ordinary text."""

    start: str
    between: tuple[str, ...]  # after the speaker, before the text
    end: str
    after: tuple[str, ...] = ()

    def are_in(self, tokenizer: Encoder) -> bool:
        """Whether the tokenizer has all these special tokens."""
        pieces = (self.start, *self.between, self.end, *self.after)
        return all(piece in tokenizer.special for piece in pieces if not piece.isspace())


# By the name that chat.json stores. The first whose special tokens a tokenizer has is used.
TEMPLATES = {
    "turns-1": Markers(START, (SEPARATOR,), END),
    "chatml": Markers("<|im_start|>", ("\n",), "<|im_end|>", ("\n",)),
    "llama-3": Markers("<|start_header_id|>", ("<|end_header_id|>", "\n\n"), "<|eot_id|>"),
}


def template_of(tokenizer: Encoder) -> str | None:
    """The name of the template whose special tokens a tokenizer has, if any."""
    return next((name for name, markers in TEMPLATES.items() if markers.are_in(tokenizer)), None)


def _markers_of(tokenizer: Encoder) -> Markers:
    return next(markers for markers in TEMPLATES.values() if markers.are_in(tokenizer))


def end_id(tokenizer: Encoder) -> int:
    """The id that ends a turn: where a reply stops."""
    return tokenizer.special[_markers_of(tokenizer).end]


def document_end(tokenizer: Encoder) -> int:
    """The id between documents of plain text."""
    return tokenizer.special.get(END, end_id(tokenizer))


def opening(speaker: str, tokenizer: Encoder) -> list[int]:
    """The ids before a speaker's text: what a reply is generated from."""
    markers = _markers_of(tokenizer)
    start = [tokenizer.special[markers.start], *tokenizer.encode(speaker)]
    return start + _marker_ids(markers.between, tokenizer)


def closing(tokenizer: Encoder) -> list[int]:
    """The ids after a speaker's text."""
    return [end_id(tokenizer), *_marker_ids(_markers_of(tokenizer).after, tokenizer)]


def _marker_ids(pieces: Iterable[str], tokenizer: Encoder) -> list[int]:
    special = tokenizer.special
    return [
        i
        for piece in pieces
        for i in ([special[piece]] if piece in special else tokenizer.encode(piece))
    ]


@dataclass(frozen=True)
class Rendered:
    """One turn as ids, and for each id whether it is learned."""

    ids: list[int]
    mask: list[bool]


def render_turn(turn: Turn, tokenizer: Encoder, learned: bool) -> Rendered:
    """Render one turn. If `learned`, its text and end are targets; its speaker never is."""
    head = opening(turn.speaker, tokenizer)
    body = tokenizer.encode(turn.text)
    tail = closing(tokenizer)
    mask = [False] * len(head) + [learned] * (len(body) + 1) + [False] * (len(tail) - 1)
    return Rendered(head + body + tail, mask)


def render(
    turns: Iterable[Turn], tokenizer: Encoder, learned: Callable[[Turn], bool] = lambda turn: True
) -> tuple[list[int], list[bool]]:
    """A conversation as ids and loss mask, of the same length."""
    ids: list[int] = []
    mask: list[bool] = []
    for turn in turns:
        rendered = render_turn(turn, tokenizer, learned(turn))
        ids += rendered.ids
        mask += rendered.mask
    return ids, mask
