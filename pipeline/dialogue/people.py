"""Who is imitated, and who may be at the keyboard."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

from pipeline.common.files import read_jsonl
from pipeline.common.speakers import find_speaker
from pipeline.dialogue import training_text
from pipeline.exports.message import Message
from pipeline.workspace.stages import CLEAN
from pipeline.workspace.workspace import Workspace

ASSISTANT, USER = "assistant", "user"  # where ready-made dialogues name nobody


def persona_of(workspace: Workspace) -> str:
    """The persona's name as the chat writes it."""
    wanted = workspace.settings.source.persona
    if not workspace.settings.source.export:
        return wanted or ASSISTANT
    return find_speaker(wanted, _messages_of(workspace.path / CLEAN))


def partners(workspace: Workspace, persona: str) -> dict[str, int]:
    """The others, with how often each stood next to the persona; the likeliest to chat first."""
    if workspace.settings.dialogues.source:
        return {USER: 1}
    beside: Counter[str] = Counter()
    for conversation in training_text.conversations(workspace, "train"):
        for one, other in pairwise(conversation):
            if persona in (one.speaker, other.speaker):
                beside[other.speaker if one.speaker == persona else one.speaker] += 1
    return dict(beside.most_common())


def _messages_of(path: Path) -> Counter[str]:
    messages = map(Message.from_dict, read_jsonl(path))
    return Counter(m.sender for m in messages if m.sender is not None)
