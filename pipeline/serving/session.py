"""`Session`: a conversation with a model folder, independent of any user interface.

The context is a list of whole rendered turns. What the decoder has read of it stays in its cache
between replies. When the context is full, the oldest whole turns are dropped.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

import minbpe
from minbpe.base import Tokenizer
from pipeline.common.errors import DataError, SettingsError, SoundalikeError, WorkspaceError
from pipeline.common.speakers import find_speaker
from pipeline.dialogue.template import closing, end_id, opening, render_turn
from pipeline.dialogue.turns import Turn
from pipeline.serving.model_card import ModelCard, read_warning
from pipeline.serving.rules import (
    MAX_DRAWS,
    AvoidedWords,
    ending_rules,
    forbidden_ids,
    max_tokens,
    sampling,
)
from pipeline.serving.streaming import stream_reply
from pipeline.workspace.settings import Chat
from pipeline.workspace.settings_file import from_dict as checked_settings
from transformer.generate import generate
from transformer.io import WeightsError, load

# What `/set` can change: not the opening, which has been said already.
CHANGEABLE = tuple(f.name for f in fields(Chat) if f.name != "opening")


@dataclass
class Spoken:
    """A turn in the context: its ids, and what to show of it."""

    turn: Turn
    ids: list[int]


class Session:
    """An open model and the conversation so far.

    `reply(text)` yields pieces of the answer as they are drawn; newlines in it are borders between
    messages. A caller that stops early leaves what was said so far in the context. `voice` is who
    answers, the persona unless `imitate` chose somebody else; `me` is who is at the keyboard.
    """

    def __init__(
        self,
        folder: Path,
        me: str | None = None,
        seed: int | None = None,
        voice: str | None = None,
    ) -> None:
        self.folder = folder
        self.card = ModelCard.read(folder)
        self.persona = self.voice = self.card.persona
        self.partners, self.voices = self.card.partners, self.card.voices
        self.chat = self.card.chat
        self.avoid = AvoidedWords(self.chat.avoid)
        self.warning = read_warning(folder)
        try:
            self.decoder = load(folder)
            self.tokenizer = minbpe.load(folder / "tokenizer.json")
        except (WeightsError, minbpe.TokenizerError) as error:
            raise WorkspaceError(str(error)) from None
        # As much as it learned to look back over; nothing was measured beyond that.
        self.room = min(self.decoder.config.block, self.card.context or self.decoder.config.block)
        self.me = next(iter(self.partners), "user")
        if voice:
            self.imitate(voice)
        if me:
            self.speak_as(me)
        self.generator = torch.Generator()
        self.generator.manual_seed(self.generator.seed() if seed is None else seed)
        self.reset()

    # --- the conversation -----------------------------------------------------------------------

    def reset(self) -> None:
        """Forget the conversation."""
        self.spoken: list[Spoken] = []
        self.history: list[Turn] = []  # all of it, including what no longer fits
        self.cache = self.decoder.new_cache()

    def reply(self, *messages: str) -> Generator[str]:
        """Say something, in one message or several; yields the answer piece by piece."""
        self.hear(Turn(self.me, messages))
        return self.answer()

    def hear(self, turn: Turn) -> None:
        """Add somebody's turn to the conversation; of a very long one, its end."""
        self._add(turn, fit_turn(turn, self.tokenizer, self.room // 2))

    def answer(self) -> Generator[str]:
        """The voice's next turn after what was heard, piece by piece."""
        speaker, said = self.voice, ""
        prefix = opening(speaker, self.tokenizer)
        self.make_room(prefix)
        ids: list[int] = []
        try:
            for _ in range(MAX_DRAWS):
                ids.clear()
                for new, text in self._stream(prefix):
                    ids += new
                    # Some base models write a space before every text.
                    piece = text if said else text.lstrip()
                    if piece:
                        said += piece
                        yield piece
                if said:
                    return
        finally:
            # An empty reply has no ids: the model never saw an empty turn.
            turn_ids = [*prefix, *ids, *closing(self.tokenizer)] if said else []
            self._add(Turn(speaker, tuple(said.rstrip("\n").split("\n"))), turn_ids)

    def _add(self, turn: Turn, ids: list[int]) -> None:
        self.spoken.append(Spoken(turn, ids))
        if turn.text.strip():
            self.history.append(turn)

    # --- drawing a reply ------------------------------------------------------------------------

    @property
    def context_ids(self) -> list[int]:
        """The ids of all turns in the context."""
        return [i for spoken in self.spoken for i in spoken.ids]

    def make_room(self, prefix: list[int]) -> None:
        """Drop the oldest whole turns until a reply fits, then a few more, so that this is rare."""
        free = self.room - len(prefix) - self._reply_limit(prefix)
        used = len(self.context_ids)
        if used <= free:
            return
        while len(self.spoken) > 1 and used > free * 3 // 4:
            used -= len(self.spoken.pop(0).ids)

    def _reply_limit(self, prefix: list[int]) -> int:
        """The longest reply in tokens; a turn fills no more than half of the context."""
        asked_for = max_tokens(self.card, self.chat, self.voice)
        around = len(prefix) + len(closing(self.tokenizer))
        return max(1, min(asked_for, self.room // 2 - around))

    def _stream(self, prefix: list[int]) -> Iterator[tuple[list[int], str]]:
        """A reply's ids and text in pieces, each as soon as it is certain to stay."""
        before = [*self.context_ids, *prefix]
        limit = min(self._reply_limit(prefix), self.room - len(before))

        def draw(ids: list[int], banned: frozenset[int]) -> Generator[int]:
            first = list(self._generate([*before, *ids], min(1, limit - len(ids)), banned))
            if first:
                yield from first
                ids = [*ids, *first]
                yield from self._generate([*before, *ids], limit - len(ids))

        endings = ending_rules(self.card, self.voice, self.me)
        return stream_reply(draw, self.tokenizer.decode_bytes, self.avoid, endings)

    def _generate(
        self, context: list[int], limit: int, banned: frozenset[int] = frozenset()
    ) -> Iterator[int]:
        return generate(
            self.decoder,
            context,
            limit,
            sampling(self.chat),
            stop_ids=[end_id(self.tokenizer)],
            forbidden_ids=[*forbidden_ids(self.tokenizer, self.decoder), *banned],
            generator=self.generator,
            cache=self.cache,
        )

    # --- who speaks, and how --------------------------------------------------------------------

    def speak_as(self, name: str) -> None:
        """Change who is at the keyboard to a speaker of the chat, or to somebody new."""
        try:
            name = find_speaker(name, {**self.voices, **self.partners})
        except SoundalikeError:
            name = name.strip()
        if name == self.voice:
            raise DataError(f"{name} is who answers; let somebody else answer first (/as NAME).")
        self.me = name

    def imitate(self, name: str) -> None:
        """Change who answers; a user who had this name gets another one."""
        try:
            self.voice = find_speaker(name, self.voices)
        except DataError:
            known = ", ".join(f"{name} ({count:,})" for name, count in self.voices.items())
            raise DataError(
                f"There is not enough of {name} to imitate; voices are {known}."
            ) from None
        if self.me == self.voice:
            others = (name for name in (*self.partners, self.persona) if name != self.voice)
            self.me = next(others, "user")

    def set(self, name: str, value: object) -> None:
        """Change how replies are drawn; SettingsError when name or value is not possible."""
        if name not in CHANGEABLE:
            raise SettingsError(f"There is no {name}; settings are {', '.join(CHANGEABLE)}.")
        changed = checked_settings({"chat": {name: value}}, "/set").chat
        chat = replace(self.chat, **{name: getattr(changed, name)})
        sampling(chat)  # refuses what cannot be drawn with
        self.avoid = AvoidedWords(chat.avoid)
        self.chat = chat


def fit_turn(turn: Turn, tokenizer: Tokenizer, limit: int) -> list[int]:
    """The ids of a turn; of one with more than `limit`, the speaker and the end of the text."""
    ids = render_turn(turn, tokenizer, learned=False).ids
    if len(ids) <= limit:
        return ids
    head = len(opening(turn.speaker, tokenizer))
    return ids[:head] + ids[head + len(ids) - limit :]
