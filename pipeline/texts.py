"""The text that the tokenizer and the pretraining learn from: the chat's turns, and the corpus."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from pipeline import corpus as plain
from pipeline.corpus import Piece
from pipeline.dialogue.turns import Turn, turns
from pipeline.files import read_jsonl
from pipeline.stages import CLEAN
from pipeline.whatsapp.message import Message
from pipeline.workspace import Workspace

PARTS = ("train", "val", "test")


def conversations(workspace: Workspace, part: str) -> Iterator[list[Turn]]:
    """The conversations of one part of the chat, each as its turns; none without a chat."""
    path = workspace.path / CLEAN
    if not path.exists() or not workspace.settings.source.export:
        return
    messages = (m for m in map(Message.from_dict, read_jsonl(path)) if m.split == part)
    for _, group in itertools.groupby(messages, key=lambda m: m.conversation):
        yield turns(group)


def corpus(workspace: Workspace, part: str) -> Iterator[Piece]:
    """The pieces of the corpus in one part; it has no test part of its own."""
    paths = [Path(p) for p in workspace.settings.source.corpus]
    if paths and part != "test":
        yield from plain.pieces(paths, "train" if part == "train" else "val")


def size(workspace: Workspace) -> int:
    """The bytes of text in all parts: what was typed in the chat, and the corpus."""
    paths = [Path(p) for p in workspace.settings.source.corpus]
    chat = (c for part in PARTS for c in conversations(workspace, part))
    typed = sum(turn.bytes for conversation in chat for turn in conversation)
    return typed + (plain.size(paths) if paths else 0)


def learned(workspace: Workspace) -> Iterator[str]:
    """All that a vocabulary is learned from: what was said and by whom, then the corpus."""
    for conversation in conversations(workspace, "train"):
        for turn in conversation:
            yield turn.speaker
            yield turn.text
    for piece in corpus(workspace, "train"):
        yield piece.text
