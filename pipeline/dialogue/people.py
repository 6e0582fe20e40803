"""Who is who in a chat: the persona, all speakers, and who may be at the keyboard.

Stage 2 writes it beside the messages, so that later stages need not parse the chat to know. A
workspace that an earlier version made has no such file; there it is worked out again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from pipeline.common.files import read_json, write_json
from pipeline.common.speakers import find_speaker
from pipeline.dialogue import training_text
from pipeline.dialogue.turns import Turn
from pipeline.exports.message import Message
from pipeline.workspace.stages import PEOPLE, by_name
from pipeline.workspace.workspace import Workspace

ASSISTANT, USER = "assistant", "user"  # where ready-made dialogues name nobody


@dataclass(frozen=True)
class People:
    """Who is who in a cleaned chat.

    `speakers` counts the messages of each; `partners` counts how often each of the others stood
    next to the persona in the training part, the likeliest to chat first.
    """

    persona: str
    messages: int
    speakers: dict[str, int]
    partners: dict[str, int]

    @classmethod
    def of(cls, messages: Sequence[Message], persona: str) -> People:
        """As the cleaned messages tell."""
        speakers = Counter(m.sender for m in messages if m.sender is not None)
        partners = beside(training_text.by_conversation(messages, "train"), persona)
        return cls(persona, len(messages), dict(speakers), partners)

    @classmethod
    def read(cls, workspace: Workspace) -> People:
        """Of the workspace's chat, for the persona that its settings name now.

        Raises DataError when nobody in the chat is called so.
        """
        name = workspace.settings.source.persona
        record = workspace.record(by_name("clean"))
        if record and PEOPLE in record.outputs:
            people = cls(**read_json(workspace.path / PEOPLE))
            if find_speaker(name, people.speakers) == people.persona:
                return people
        messages = workspace.chat.messages()
        speakers = Counter(m.sender for m in messages if m.sender is not None)
        return cls.of(messages, find_speaker(name, speakers))

    def write(self, path: Path) -> None:
        """Write it for `read`."""
        write_json(path, asdict(self))


def beside(conversations: Iterable[list[Turn]], persona: str) -> dict[str, int]:
    """The others, with how often each stood next to the persona; most often first."""
    counts: Counter[str] = Counter()
    for conversation in conversations:
        for one, other in pairwise(conversation):
            if persona in (one.speaker, other.speaker):
                counts[other.speaker if one.speaker == persona else one.speaker] += 1
    return dict(counts.most_common())


def persona_of(workspace: Workspace) -> str:
    """The persona's name as the chat writes it."""
    if not workspace.settings.source.export:
        return workspace.settings.source.persona or ASSISTANT
    return People.read(workspace).persona


def partners(workspace: Workspace) -> dict[str, int]:
    """Who may be at the keyboard, with how often each stood next to the persona."""
    if workspace.settings.dialogues.source:
        return {USER: 1}
    return People.read(workspace).partners if workspace.settings.source.export else {}
