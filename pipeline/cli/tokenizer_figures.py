"""The figures of `tokenizer --compare`: what each way to split the training text makes of it.

The sizes of byte pair encoding are one training: the merges of a smaller vocabulary are the first
of a larger one's. Each distinct piece of the text is encoded once and counted as often as it
occurs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import regex  # type: ignore[import-untyped, unused-ignore]

from minbpe import RegexTokenizer
from minbpe.base import BYTES, replace_surrogates
from minbpe.regex import PATTERNS
from pipeline.common.errors import DataError
from pipeline.common.screen import Screen
from pipeline.common.tokens import visible
from pipeline.common.words import count_words
from pipeline.dialogue import training_text
from pipeline.dialogue.template import SPECIAL
from pipeline.workspace.settings import Settings
from pipeline.workspace.workspace import Workspace

MAX_BYTES = 50_000_000  # of text to look at: more hardly changes the figures
WORD = re.compile(r"\w+|[^\w\s]")  # words and punctuation marks; white space is dropped


@dataclass
class Counts:
    """What is in the text, as far as the figures need it."""

    pieces: Counter[str] = field(default_factory=Counter)
    letters: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)  # words and punctuation marks
    words: int = 0
    bytes: int = 0
    total_bytes: int = 0  # of all the text; more than `bytes` when not all was looked at


@dataclass(frozen=True)
class Row:
    """One way to split the text; `size` counts its vocabulary without special tokens."""

    level: str
    size: int
    tokens: int
    tokens_per_word: float
    bytes_per_token: float
    embedding: float  # its share of the parameters of the decoder that `auto` would pick
    example: tuple[str, ...]
    picked: bool = False  # by `auto`


def count(workspace: Workspace, screen: Screen) -> Counts:
    """One pass over the training text."""
    counts = Counts()
    splitter = regex.compile(PATTERNS[workspace.settings.tokenizer.pattern])
    with screen.bar("counting bytes", None) as bar:
        for text in training_text.for_vocabulary(workspace):
            size = len(text.encode())
            counts.total_bytes += size
            if counts.total_bytes <= MAX_BYTES:
                counts.pieces.update(splitter.findall(text))
                counts.letters.update(text)
                counts.marks.update(WORD.findall(text))
                counts.words += count_words(text)
                counts.bytes += size
            bar.to(counts.total_bytes)
    if not counts.words:
        raise DataError("There is no text to compare on; give --export or --corpus.")
    return counts


def measure(
    workspace: Workspace, counts: Counts, sizes: Sequence[int], sentence: str, screen: Screen
) -> list[Row]:
    """The rows: letters, then the sizes asked for and the one that `auto` picks, then words."""
    from pipeline.training import auto

    settings = workspace.settings.tokenizer
    pattern, choice = settings.pattern, auto.vocab_size(counts.total_bytes)
    with screen.bar("merging", None, count=True) as bar:
        largest = RegexTokenizer.train(
            _first_texts(workspace),
            max(*sizes, choice),
            pattern,
            progress=bar.to,
            minimum_count=settings.minimum_count,
            sample=settings.sample,
        )
    merges = list(largest.merges)

    def row(level: str, size: int, tokens: int, example: Sequence[str], picked: bool) -> Row:
        share = _embedding_share(workspace.settings, tokens, size + len(SPECIAL))
        per_word, per_token = tokens / counts.words, counts.bytes / tokens
        return Row(level, size, tokens, per_word, per_token, share, tuple(example), picked)

    sentence = replace_surrogates(sentence)
    shown = [visible(letter.encode()) for letter in sentence]
    rows = [row("letters", len(counts.letters), counts.letters.total(), shown, False)]
    possible = sorted({min(size, largest.size) for size in (*sizes, choice)})
    with screen.bar("encoding", len(possible), count=True) as bar:
        for done, size in enumerate(possible, 1):
            tokenizer = RegexTokenizer(merges[: size - BYTES], pattern)
            tokens = sum(len(tokenizer.encode(piece)) * n for piece, n in counts.pieces.items())
            shown = [visible(tokenizer.vocab[i]) for i in tokenizer.encode(sentence)]
            rows.append(row("byte pairs", size, tokens, shown, size == min(choice, largest.size)))
            bar.to(done, len(possible))
    marks = WORD.findall(sentence)
    return [*rows, row("words", len(counts.marks), counts.marks.total(), marks, False)]


def _first_texts(workspace: Workspace) -> Iterator[str]:
    """The training text up to MAX_BYTES."""
    left = MAX_BYTES
    for text in training_text.for_vocabulary(workspace):
        left -= len(text.encode())
        if left < 0:
            return
        yield text


def _embedding_share(settings: Settings, tokens: int, vocabulary: int) -> float:
    """The embedding's share of the decoder that `auto` picks for this many tokens of text."""
    import torch

    from pipeline.training import auto
    from transformer.decoder import Decoder

    config = auto.model_config(settings.model, tokens, vocabulary, padding_id=0)
    with torch.device("meta"):  # shapes without numbers
        decoder = Decoder(config)
    return decoder.tokens.weight.numel() / sum(p.numel() for p in decoder.parameters())
