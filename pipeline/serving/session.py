"""`Session`: a conversation with a model folder. Knows nothing of terminals.

The context is a list of whole rendered turns. What the decoder has read of it stays in its cache
between replies; when the context is full, the oldest whole turns go.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

import minbpe
from pipeline.config import Chat
from pipeline.dialogue.template import TEMPLATES, closing, end_id, opening, render_turn
from pipeline.dialogue.turns import Turn
from pipeline.errors import SettingsError, SoundalikeError, WorkspaceError
from pipeline.files import read_json
from pipeline.serving.package import CHAT
from pipeline.settings import from_dict as checked_settings
from pipeline.whatsapp.names import find_speaker
from transformer.generate import generate
from transformer.io import WeightsError, load
from transformer.sampling import Sampling


@dataclass
class Spoken:
    """A turn in the context: its ids, and what to show of it."""

    turn: Turn
    ids: list[int]


class Session:
    """An open model and the conversation so far.

    `reply(text)` yields pieces of the answer as they are drawn; newlines in it are borders between
    bubbles. A caller that stops early leaves what was said so far in the context.
    """

    def __init__(self, folder: Path, me: str | None = None, seed: int | None = None) -> None:
        self.folder = folder
        facts = _facts(folder)
        self.persona: str = facts["persona"]
        self.partners: dict[str, int] = facts["partners"]
        self.chat: Chat = checked_settings({"chat": facts["sampling"]}, str(folder / CHAT)).chat
        try:
            self.decoder = load(folder)
            self.tokenizer = minbpe.load(folder / "tokenizer.json")
        except (WeightsError, minbpe.TokenizerError) as error:
            raise WorkspaceError(str(error)) from None
        self.me = next(iter(self.partners), "user")
        if me:
            self.speak_as(me)
        self.generator = torch.Generator()
        self.generator.manual_seed(self.generator.seed() if seed is None else seed)
        self.reset()

    def reset(self) -> None:
        """Forget the conversation."""
        self.spoken: list[Spoken] = []
        self.cache = self.decoder.new_cache()

    def speak_as(self, name: str) -> None:
        """Change who is at the keyboard to a speaker of the chat, or to somebody new."""
        try:
            self.me = find_speaker(name, self.partners)
        except SoundalikeError:
            self.me = name.strip()

    def set(self, name: str, value: Any) -> None:
        """Change how replies are drawn; SettingsError when name or value is not possible."""
        if name not in {f.name for f in fields(Chat)}:
            known = ", ".join(f.name for f in fields(Chat))
            raise SettingsError(f"There is no {name}; settings are {known}.")
        changed = checked_settings({"chat": {name: value}}, "/set").chat
        self.chat = replace(self.chat, **{name: getattr(changed, name)})

    def reply(self, text: str) -> Iterator[str]:
        """Say something; yields the persona's answer piece by piece."""
        self.hear(Turn(self.me, (text,)))
        return self.answer()

    def answer(self) -> Iterator[str]:
        """The persona's next turn after what was heard, piece by piece."""
        open_ids = opening(self.persona, self.tokenizer)
        self._make_room(len(open_ids))
        ids: list[int] = []
        said: list[str] = []
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            for new in self._draw(open_ids):
                ids.append(new)
                piece = decoder.decode(self.tokenizer.decode_bytes([new]))
                if not said:
                    piece = piece.lstrip(" ")  # some bases write a space before every text
                if piece:
                    said.append(piece)
                    yield piece
            if rest := decoder.decode(b"", final=True):
                said.append(rest)
                yield rest
        finally:
            turn = Turn(self.persona, tuple("".join(said).split("\n")))
            self.spoken.append(Spoken(turn, [*open_ids, *ids, *closing(self.tokenizer)]))

    def _draw(self, open_ids: list[int]) -> Iterator[int]:
        chat, end = self.chat, end_id(self.tokenizer)
        beyond = range(self.tokenizer.size, self.decoder.config.vocab_size)
        context = [i for spoken in self.spoken for i in spoken.ids] + open_ids
        longest = min(chat.max_tokens, self.decoder.config.block - len(context))
        return generate(
            self.decoder,
            context,
            longest,
            Sampling(
                temperature=chat.temperature,
                top_k=chat.top_k,
                top_p=chat.top_p,
                min_p=chat.min_p,
                repetition_penalty=chat.repetition_penalty,
            ),
            stop_ids=[end],
            forbidden_ids=[*(i for i in self.tokenizer.special.values() if i != end), *beyond],
            generator=self.generator,
            cache=self.cache,
        )

    def hear(self, turn: Turn) -> None:
        """Add somebody's turn to the conversation; of a wall of text its end."""
        ids = render_turn(turn, self.tokenizer, learned=False).ids
        most = self.decoder.config.block // 2
        if len(ids) > most:
            head = len(opening(turn.speaker, self.tokenizer))
            ids = ids[:head] + ids[head + len(ids) - most :]
        self.spoken.append(Spoken(turn, ids))

    def _make_room(self, opening_size: int) -> None:
        """Drop the oldest whole turns until an answer fits; a few more, so it is not every time."""
        block = self.decoder.config.block
        answer = min(self.chat.max_tokens, block // 2 - opening_size)
        used = sum(len(s.ids) for s in self.spoken)
        if used + opening_size + answer <= block:
            return
        most = max(len(self.spoken[-1].ids), (block - opening_size - answer) * 3 // 4)
        while len(self.spoken) > 1 and used > most:
            used -= len(self.spoken.pop(0).ids)


def _facts(folder: Path) -> Mapping[str, Any]:
    path = folder / CHAT
    if not path.exists():
        raise WorkspaceError(
            f"There is no model in {folder}; make one with "
            "`python -m pipeline run --export FILE --persona NAME`."
        )
    try:
        facts: Mapping[str, Any] = read_json(path)
        known = facts["version"] == 1 and facts["template"] in TEMPLATES
        facts["persona"], facts["partners"], facts["sampling"]
    except (ValueError, KeyError, TypeError):
        raise WorkspaceError(
            f"{path} is damaged; run `python -m pipeline finetune` again."
        ) from None
    if not known:
        raise WorkspaceError(
            f"{folder} was made by a newer version of this program; update the program."
        )
    return facts
