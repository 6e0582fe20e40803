"""The text that the tokenizer and the pretraining learn from: the chat's turns, and the corpus."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from pipeline.corpus import Corpus, Part
from pipeline.dialogue.turns import Turn, turns
from pipeline.files import read_jsonl
from pipeline.stages import CLEAN
from pipeline.whatsapp.message import Message
from pipeline.workspace import Workspace

PARTS: tuple[Part, ...] = ("train", "val", "test")


def conversations(workspace: Workspace, part: str) -> Iterator[list[Turn]]:
    """The conversations of one part of the chat, each as its turns; none without a chat."""
    path = workspace.path / CLEAN
    if not path.exists() or not workspace.settings.source.export:
        return
    messages = (m for m in map(Message.from_dict, read_jsonl(path)) if m.split == part)
    for _, group in itertools.groupby(messages, key=lambda m: m.conversation):
        yield turns(group)


def corpus(workspace: Workspace) -> Corpus:
    """The corpus beside or instead of a chat; one without files when there is none."""
    return Corpus(workspace.paths("source.corpus"), workspace.settings.source.corpus_column)


def size(workspace: Workspace) -> int:
    """The bytes of text in all parts: what was typed in the chat, and the corpus."""
    plain = corpus(workspace)
    chat = (c for part in PARTS for c in conversations(workspace, part))
    typed = sum(turn.bytes for conversation in chat for turn in conversation)
    return typed + sum(plain.bytes(part) for part in PARTS)


def learned(workspace: Workspace) -> Iterator[str]:
    """All that a vocabulary is learned from: what was said and by whom, then the corpus."""
    yield from _said(workspace)
    for piece in corpus(workspace).pieces("train"):
        yield piece.text


def learned_size(workspace: Workspace) -> int:
    """The bytes of that text."""
    said = sum(len(text.encode()) for text in _said(workspace))
    return said + corpus(workspace).bytes("train")


def _said(workspace: Workspace) -> Iterator[str]:
    for conversation in conversations(workspace, "train"):
        for turn in conversation:
            yield turn.speaker
            yield turn.text
