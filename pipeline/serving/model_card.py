"""What a model folder says of itself: `chat.json`, and a warning where there is reason for one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TypedDict

from pipeline.common.errors import WorkspaceError
from pipeline.common.files import atomic, read_json, write_json
from pipeline.dialogue.template import TEMPLATES
from pipeline.dialogue.turns import Turn
from pipeline.workspace.settings import Chat
from pipeline.workspace.settings_file import from_dict as checked_settings

VERSION = 1
CHAT = "chat.json"
WARNING = "warning.txt"
README = "README.md"
HEADING = "\n## Warning\n\n"
MIN_TOKENS = 16  # lower bound of the limit of a reply


class HabitsRow(TypedDict):
    """Habits in `chat.json`."""

    characters: Sequence[int]
    messages: Sequence[int]
    tokens: int


@dataclass(frozen=True)
class Habits:
    """How much one person says at once: characters and messages (median, 95 %), tokens (99 %)."""

    characters: tuple[int, int]
    messages: tuple[int, int]
    tokens: int

    @classmethod
    def of(cls, turns: Iterable[Turn], count_tokens: Callable[[str], int]) -> Habits | None:
        """The habits that some turns show; None where there are no turns."""
        texts = [turn.text for turn in turns]
        if not texts:
            return None
        characters = [len(text) for text in texts]
        # A line of a longer message counts as a message: in a reply nothing tells them apart.
        messages = [sum(bool(line.strip()) for line in text.split("\n")) for text in texts]
        return cls(
            (quantile(characters, 0.5), quantile(characters, 0.95)),
            (quantile(messages, 0.5), max(1, quantile(messages, 0.95))),
            max(MIN_TOKENS, quantile([count_tokens(text) for text in texts], 0.99)),
        )

    @classmethod
    def from_row(cls, row: HabitsRow) -> Habits:
        """As `chat.json` has them; ValueError, KeyError or TypeError where it is damaged."""
        (c50, c95), (m50, m95) = row["characters"], row["messages"]
        return cls((int(c50), int(c95)), (int(m50), int(m95)), int(row["tokens"]))


def quantile(values: Sequence[int], q: float) -> int:
    """The smallest of the values that at least a fraction `q` of them do not exceed."""
    return sorted(values)[max(1, math.ceil(q * len(values))) - 1]


@dataclass(frozen=True)
class ModelCard:
    """`chat.json`: who speaks in a model's chat, and how its replies are drawn."""

    template: str
    persona: str
    partners: Mapping[str, int]  # how often each of them spoke next to the persona
    voices: Mapping[str, int]  # who can be imitated, with training turns; the persona first
    learned: Sequence[str]  # whose turns were the training target
    habits: Mapping[str, Habits]
    follows: Mapping[str, Mapping[str, int]]  # who answers whom; empty where the model says
    last_message: date | None
    chat: Chat
    context: int  # tokens that it learned to look back over; 0: unknown

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """The card of a model folder; WorkspaceError where there is none that can be used."""
        path = folder / CHAT
        if not path.exists():
            raise WorkspaceError(
                f"There is no model in {folder}; make one with "
                "`python -m pipeline run --export FILE --persona NAME`."
            )
        try:
            row = read_json(path)
            known = row["version"] == VERSION and row["template"] in TEMPLATES
            persona: str = row["persona"]
            last = row.get("last_message")
            card = cls(
                template=row["template"],
                persona=persona,
                partners=row["partners"],
                voices=row.get("voices", {persona: 0}),  # older models have the persona's alone
                learned=row.get("learned", [persona]),
                habits={n: Habits.from_row(h) for n, h in row.get("habits", {}).items()},
                follows=row.get("follows", {}),
                last_message=date.fromisoformat(last) if last else None,
                chat=checked_settings({"chat": row["sampling"]}, str(path)).chat,
                context=int(row.get("context", 0)),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise WorkspaceError(
                f"{path} is damaged; run `python -m pipeline finetune` again."
            ) from None
        if not known:
            raise WorkspaceError(
                f"{folder} was made by a newer version of this program; update the program."
            )
        return card

    def write(self, folder: Path) -> None:
        """Write `chat.json` into a model folder."""
        row = {
            "version": VERSION,
            "template": self.template,
            "persona": self.persona,
            "partners": self.partners,
            "voices": self.voices,
            "learned": self.learned,
            "habits": {name: asdict(habits) for name, habits in self.habits.items()},
            "follows": self.follows,
            "last_message": self.last_message.isoformat() if self.last_message else None,
            "sampling": asdict(self.chat),
            "context": self.context,
        }
        write_json(folder / CHAT, row)


def write_warning(folder: Path, sentence: str) -> None:
    """Write a sentence into a model folder and its README; an empty one removes it.

    It has a file of its own: what was measured of a model is no part of the model, so writing it
    down must not make the model look changed (`stages.MODEL_FILES`).
    """
    sentence = " ".join(sentence.split())
    if sentence == read_warning(folder):
        return
    readme = folder / README
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    with atomic(readme) as file:
        file.write(text.partition(HEADING)[0] + (HEADING + sentence + "\n") * bool(sentence))
    if not sentence:
        (folder / WARNING).unlink(missing_ok=True)
        return
    with atomic(folder / WARNING) as file:
        file.write(sentence + "\n")


def read_warning(folder: Path) -> str:
    """The warning that goes with a model; empty when there is none."""
    path = folder / WARNING
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""
