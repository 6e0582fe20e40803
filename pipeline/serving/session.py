"""`Session`: a conversation with a model folder. Knows nothing of terminals.

The context is a list of whole rendered turns. What the decoder has read of it stays in its cache
between replies; when the context is full, the oldest whole turns go.
"""

from __future__ import annotations

import codecs
from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

import minbpe
from pipeline.common.errors import DataError, SettingsError, SoundalikeError, WorkspaceError
from pipeline.common.speakers import find_speaker
from pipeline.dialogue.template import closing, end_id, opening, render_turn
from pipeline.dialogue.turns import Turn
from pipeline.serving.avoid import Avoid
from pipeline.serving.model_card import read_facts
from pipeline.serving.next_speaker import opens_next
from pipeline.serving.rules import DRAWS, endings, forbidden, longest, sampling
from pipeline.serving.streaming import certain
from pipeline.serving.warning import warning_of
from pipeline.workspace.settings import Chat
from pipeline.workspace.settings_file import from_dict as checked_settings
from transformer.generate import generate
from transformer.io import WeightsError, load

SET = tuple(f.name for f in fields(Chat) if f.name != "opening")  # which has been said


@dataclass
class Spoken:
    """A turn in the context: its ids, and what to show of it."""

    turn: Turn
    ids: list[int]


class Session:
    """An open model and the conversation so far.

    `reply(text)` yields pieces of the answer as they are drawn; newlines in it are borders between
    bubbles. A caller that stops early leaves what was said so far in the context. `voice` is who
    answers, the persona unless `imitate` chose another; `me` is who is at the keyboard.
    """

    def __init__(
        self,
        folder: Path,
        me: str | None = None,
        seed: int | None = None,
        voice: str | None = None,
    ) -> None:
        self.folder = folder
        self.facts = read_facts(folder)
        self.persona = self.voice = self.facts.persona
        self.partners, self.voices = self.facts.partners, self.facts.voices
        self.chat: Chat = self.facts.chat
        self.avoid = Avoid(self.chat.avoid)
        self.warning = warning_of(folder)
        try:
            self.decoder = load(folder)
            self.tokenizer = minbpe.load(folder / "tokenizer.json")
        except (WeightsError, minbpe.TokenizerError) as error:
            raise WorkspaceError(str(error)) from None
        # As much as it learned to look back over; beyond that, no figure says how it answers.
        self.room = min(self.decoder.config.block, self.facts.context or self.decoder.config.block)
        self.me = next(iter(self.partners), "user")
        if voice:
            self.imitate(voice)
        if me:
            self.speak_as(me)
        self.generator = torch.Generator()
        self.generator.manual_seed(self.generator.seed() if seed is None else seed)
        self.reset()

    def reset(self) -> None:
        """Forget the conversation."""
        self.spoken: list[Spoken] = []
        self.history: list[Turn] = []  # all of it, also what no longer fits
        self.cache = self.decoder.new_cache()

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
        """Change who answers; whoever was at the keyboard under this name becomes somebody else."""
        try:
            self.voice = find_speaker(name, self.voices)
        except DataError:
            known = ", ".join(f"{name} ({count:,})" for name, count in self.voices.items())
            raise DataError(
                f"There is not enough of {name} to imitate; voices are {known}."
            ) from None
        if self.me == self.voice:
            likely = (name for name in (*self.partners, self.persona) if name != self.voice)
            self.me = next(likely, "user")

    def set(self, name: str, value: Any) -> None:
        """Change how replies are drawn; SettingsError when name or value is not possible."""
        if name not in SET:
            raise SettingsError(f"There is no {name}; settings are {', '.join(SET)}.")
        changed = checked_settings({"chat": {name: value}}, "/set").chat
        chat = replace(self.chat, **{name: getattr(changed, name)})
        sampling(chat)
        self.avoid = Avoid(changed.avoid) if name == "avoid" else self.avoid
        self.chat = chat

    def reply(self, *messages: str) -> Iterator[str]:
        """Say something, in one message or several; yields the answer piece by piece."""
        self.hear(Turn(self.me, messages))
        return self.answer()

    def answer(self) -> Iterator[str]:
        """The voice's next turn after what was heard, piece by piece."""
        speaker, said = self.voice, ""
        open_ids = opening(speaker, self.tokenizer)
        self._make_room(open_ids)
        ids: list[int] = []
        try:
            for _ in range(DRAWS):
                ids.clear()
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                for new, data in self._drawn(open_ids):
                    ids += new
                    piece = decoder.decode(data)
                    if not said:
                        piece = piece.lstrip()  # some bases write a space before every text
                    if piece:
                        said += piece
                        yield piece
                if rest := decoder.decode(b"", final=True):
                    said += rest
                    yield rest
                if said:
                    return
        finally:
            turn = Turn(speaker, tuple(said.rstrip("\n").split("\n")))
            # Nothing said is no turn: the model never saw an empty one.
            said_ids = [*open_ids, *ids, *closing(self.tokenizer)] if said else []
            self._add(Spoken(turn, said_ids))

    def next_speaker(self) -> dict[str, float]:
        """How likely each voice, and whoever is at the keyboard, opens the next turn.

        DataError where fewer than three speak: two take turns.
        """
        names = list(dict.fromkeys((*self.voices, self.me)))
        if len(names) < 3:
            raise DataError(f"Nobody but {' and '.join(names)} has enough to say here for a group.")
        if self.facts.follows:
            return self._usual_next(names)
        options = [opening(name, self.tokenizer) for name in names]
        self._make_room(max(options, key=len))
        context = [i for spoken in self.spoken for i in spoken.ids]
        return dict(zip(names, opens_next(self.decoder, context, options, self.cache), strict=True))

    def _usual_next(self, names: list[str]) -> dict[str, float]:
        """The same by who follows whom in the chat: for a model that never learned the names."""
        last = self.spoken[-1].turn.speaker if self.spoken else ""
        counts = self.facts.follows.get(last, {})
        weights = {name: 1 + counts.get(name, 0) for name in names}  # nobody is impossible
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}

    def _drawn(self, open_ids: list[int]) -> Iterator[tuple[list[int], bytes]]:
        """A reply's ids and bytes, each as soon as it is certain to stay."""
        before = [i for spoken in self.spoken for i in spoken.ids] + open_ids
        room = self.room - len(before)
        most = min(self._longest(open_ids), room)

        def draw(ids: list[int], banned: frozenset[int]) -> Generator[int]:
            first = list(self._generate([*before, *ids], min(1, most - len(ids)), banned))
            if first:
                yield from first
                ids = [*ids, *first]
                yield from self._generate([*before, *ids], most - len(ids))

        rules = endings(self.facts, self.voice, self.me)
        return certain(draw, self.tokenizer.decode_bytes, self.avoid, rules)

    def _generate(
        self, context: list[int], most: int, banned: frozenset[int] = frozenset()
    ) -> Iterator[int]:
        return generate(
            self.decoder,
            context,
            most,
            sampling(self.chat),
            stop_ids=[end_id(self.tokenizer)],
            forbidden_ids=[*forbidden(self.tokenizer, self.decoder), *banned],
            generator=self.generator,
            cache=self.cache,
        )

    def _longest(self, open_ids: list[int]) -> int:
        """Tokens of a reply at most; with what stands around it, it fills no more than half."""
        wanted = longest(self.facts, self.chat, self.voice)
        around = len(open_ids) + len(closing(self.tokenizer))
        return max(1, min(wanted, self.room // 2 - around))

    def hear(self, turn: Turn) -> None:
        """Add somebody's turn to the conversation; of a wall of text its end."""
        ids = render_turn(turn, self.tokenizer, learned=False).ids
        most = self.room // 2
        if len(ids) > most:
            head = len(opening(turn.speaker, self.tokenizer))
            ids = ids[:head] + ids[head + len(ids) - most :]
        self._add(Spoken(turn, ids))

    def _add(self, spoken: Spoken) -> None:
        self.spoken.append(spoken)
        if spoken.turn.text.strip():
            self.history.append(spoken.turn)

    def _make_room(self, open_ids: list[int]) -> None:
        """Drop the oldest whole turns until an answer fits; a few more, so it is not every time."""
        free = self.room - len(open_ids) - self._longest(open_ids)
        used = sum(len(s.ids) for s in self.spoken)
        if used <= free:
            return
        while len(self.spoken) > 1 and used > free * 3 // 4:
            used -= len(self.spoken.pop(0).ids)
