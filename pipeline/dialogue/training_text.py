"""The text that the tokenizer and the pretraining learn from: the chat's turns, and the corpus."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline import corpus as plain
from pipeline.common.splits import SPLITS, Split
from pipeline.corpus import Corpus, Piece
from pipeline.corpus.listing import list_files
from pipeline.dialogue.turns import Turn, turns
from pipeline.exports.message import Message
from pipeline.workspace.workspace import Workspace


def conversations(workspace: Workspace, part: str) -> Iterator[list[Turn]]:
    """The conversations of one part of the chat, each as its turns; none without a chat."""
    if workspace.settings.source.export:
        yield from by_conversation(workspace.chat.messages(), part)


def by_conversation(messages: Iterable[Message], part: str) -> Iterator[list[Turn]]:
    """The conversations among the messages of one part, each as its turns."""
    chosen = (message for message in messages if message.split == part)
    for _, group in itertools.groupby(chosen, key=lambda message: message.conversation):
        yield turns(group)


def corpus(workspace: Workspace, part: Split) -> Iterator[Piece]:
    """The pieces of the corpus in one part."""
    if found := _corpus(workspace):
        yield from plain.pieces(found, part)


def _corpus(workspace: Workspace) -> Corpus | None:
    source = workspace.settings.source
    return Corpus(tuple(map(Path, source.corpus)), source.corpus_column) if source.corpus else None


def split(workspace: Workspace) -> str:
    """The files of each part of a corpus, in words; "" where their names tell no split."""
    found = _corpus(workspace)
    parts = (
        Counter(file.split or "train" for file in list_files(found.paths)) if found else Counter()
    )
    return ", ".join(f"{parts[p]:,} {p}" for p in SPLITS) if len(parts) > 1 else ""


def size(workspace: Workspace) -> int:
    """The bytes of text in all parts: what was typed in the chat, and the corpus."""
    found = _corpus(workspace)
    chat = (c for part in SPLITS for c in conversations(workspace, part))
    typed = sum(turn.bytes for conversation in chat for turn in conversation)
    return typed + (plain.size(found) if found else 0)


def learned(workspace: Workspace) -> Iterator[str]:
    """All that a vocabulary is learned from: what was said and by whom, then the corpus."""
    for conversation in conversations(workspace, "train"):
        for turn in conversation:
            yield turn.speaker
            yield turn.text
    for piece in corpus(workspace, "train"):
        yield from piece.texts
