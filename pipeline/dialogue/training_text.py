"""The text that the tokenizer and the pretraining learn from: the chat's turns, and the corpus."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline import corpus
from pipeline.common.split_names import SPLITS, Split
from pipeline.corpus import Corpus, Piece
from pipeline.corpus.listing import list_files
from pipeline.dialogue.turns import Turn, turns
from pipeline.exports.message import Message
from pipeline.workspace.workspace import Workspace


def conversations(workspace: Workspace, split: Split) -> Iterator[list[Turn]]:
    """The conversations of one split of the chat, each as its turns; none without a chat."""
    if workspace.settings.source.export:
        yield from by_conversation(workspace.chat.messages(), split)


def by_conversation(messages: Iterable[Message], split: Split) -> Iterator[list[Turn]]:
    """The conversations among the messages of one split, each as its turns."""
    in_split = (message for message in messages if message.split == split)
    for _, group in itertools.groupby(in_split, key=lambda message: message.conversation):
        yield turns(group)


def pieces(workspace: Workspace, split: Split) -> Iterator[Piece]:
    """The pieces of the corpus in one split; none without a corpus."""
    if workspace.settings.source.corpus:
        yield from corpus.pieces(_corpus(workspace), split)


def _corpus(workspace: Workspace) -> Corpus:
    source = workspace.settings.source
    return Corpus(tuple(map(Path, source.corpus)), source.corpus_column)


def describe_splits(workspace: Workspace) -> str:
    """The files of each split of a corpus, in words; "" where their names tell no split."""
    if not workspace.settings.source.corpus:
        return ""
    files = list_files(_corpus(workspace).paths)
    counts = Counter(file.split or "train" for file in files)
    return ", ".join(f"{counts[name]:,} {name}" for name in SPLITS) if len(counts) > 1 else ""


def size(workspace: Workspace) -> int:
    """The bytes of text in all splits: what was typed in the chat, and the corpus."""
    chat = (c for split in SPLITS for c in conversations(workspace, split))
    typed = sum(turn.bytes for conversation in chat for turn in conversation)
    has_corpus = bool(workspace.settings.source.corpus)
    return typed + (corpus.size(_corpus(workspace)) if has_corpus else 0)


def for_vocabulary(workspace: Workspace) -> Iterator[str]:
    """All that a vocabulary is learned from: what was said and by whom, then the corpus."""
    for conversation in conversations(workspace, "train"):
        for turn in conversation:
            yield turn.speaker
            yield turn.text
    for piece in pieces(workspace, "train"):
        yield from piece.texts
