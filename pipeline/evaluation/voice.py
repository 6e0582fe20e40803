"""A voice: a model, and the speaker it is to be. What it answers, and how likely it finds answers.

Everything is done for many moments at once: that is what makes a thousand replies affordable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from minbpe.base import Tokenizer
from pipeline.config import Chat
from pipeline.dialogue.template import closing, end_id, opening, render
from pipeline.dialogue.turns import Turn
from pipeline.evaluation.moments import Moment
from pipeline.evaluation.replies import Reply
from pipeline.serving.endings import Ending
from pipeline.serving.rules import DRAWS, ended, forbidden, sampling
from transformer.batched import generate_batch
from transformer.cache import Cache
from transformer.decoder import Decoder

CONTEXT = 256  # tokens of the conversation at most
ALIKE = 1.5  # times the shortest of the texts that are read together, the longest may be


@dataclass(frozen=True)
class Voice:
    """`decoder` as `speaker`. With `instead_of`, the two have changed names in what was said."""

    decoder: Decoder
    tokenizer: Tokenizer
    chat: Chat
    speaker: str
    instead_of: str = ""
    longest: int = 160  # tokens of a reply
    endings: Sequence[Ending] = ()

    def context(self, moment: Moment) -> list[int]:
        """The newest whole turns that fit, and the opening of the speaker's own."""
        room = min(CONTEXT, self.decoder.config.block // 2)
        found = opening(self.speaker, self.tokenizer)
        for number, turn in enumerate(reversed(moment.before)):
            ids, _ = render([self.renamed(turn)], self.tokenizer)
            over = len(ids) + len(found) - room
            if over > 0 and number:
                break
            if over > 0:  # of a wall of text its end, as in the chat
                head = len(opening(self.renamed(turn).speaker, self.tokenizer))
                ids = ids[:head] + ids[head + over :]
            found = ids + found
        return found

    def renamed(self, turn: Turn) -> Turn:
        swapped = {self.instead_of: self.speaker, self.speaker: self.instead_of}
        return replace(turn, speaker=swapped[turn.speaker]) if self._renames(turn) else turn

    def _renames(self, turn: Turn) -> bool:
        return bool(self.instead_of) and turn.speaker in (self.instead_of, self.speaker)

    def replies(self, moments: Sequence[Moment], each: int, seed: int) -> list[Reply]:
        """`each` replies to every moment, drawn as the chat draws them: an empty one anew."""
        made = self._drawn(moments, each, seed)
        asked = {moment.number: moment for moment in moments}
        for more in range(1, DRAWS):
            empty = [n for n, reply in enumerate(made) if not reply.text]
            again = self._drawn([asked[made[n].prompt] for n in empty], 1, seed + more)
            for n, reply in zip(empty, again, strict=True):
                made[n] = reply
        return made

    def _drawn(self, moments: Sequence[Moment], each: int, seed: int) -> list[Reply]:
        device = self.decoder.tokens.weight.device
        contexts = [self.context(moment) for moment in moments]
        ids = generate_batch(
            self.decoder,
            [context for context in contexts for _ in range(each)],
            min(self.longest, self.decoder.config.block // 2),
            sampling(self.chat),
            stop_ids=[end_id(self.tokenizer)],
            forbidden_ids=forbidden(self.tokenizer, self.decoder),
            generator=torch.Generator(device).manual_seed(seed),
        )
        asked = [moment.number for moment in moments for _ in range(each)]
        return [
            Reply(ended(self.tokenizer.decode(said), self.endings), number)
            for said, number in zip(ids, asked, strict=True)
        ]

    @torch.no_grad()
    def chances(self, context: Sequence[int], texts: Sequence[str]) -> NDArray[np.float64]:
        """The log-probability of each of some texts as the whole turn after a context."""
        decoder, device = self.decoder, self.decoder.tokens.weight.device
        ends = closing(self.tokenizer)[:1]
        room = decoder.config.block - len(context) + 1  # of a longer text its beginning
        turns = [[*self.tokenizer.encode(text), *ends][:room] for text in texts]
        cache = decoder.new_cache()
        if len(context) > 1:
            decoder.hidden(torch.tensor([context[:-1]], device=device), cache)
        found = np.zeros(len(turns))
        for alike in _alike([len(turn) for turn in turns]):
            found[alike] = self._after(context[-1], [turns[n] for n in alike], cache)
        return found

    def _after(self, last: int, turns: Sequence[list[int]], cache: Cache) -> NDArray[np.float64]:
        """Summed log-probabilities of turns of like length, each after what the cache holds."""
        device = self.decoder.tokens.weight.device
        longest = max(map(len, turns))
        x, y = (
            torch.tensor([row + [-1] * (longest - len(row)) for row in rows], device=device)
            for rows in ([[last, *turn[:-1]] for turn in turns], turns)
        )
        every = cache.select_rows(torch.zeros(len(turns), dtype=torch.long, device=device))
        hidden = self.decoder.hidden(x, every)
        return np.array([self._summed(*row) for row in zip(hidden, y, strict=True)])

    def _summed(self, hidden: Tensor, y: Tensor) -> float:
        """Of one text at a time, since logits are wide."""
        logits = self.decoder.head(hidden[y >= 0]).float()
        return -float(F.cross_entropy(logits, y[y >= 0], reduction="sum"))


def _alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The numbers of texts, shortest first, in groups of like length."""
    group: list[int] = []
    for n in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and lengths[n] > ALIKE * lengths[group[0]]:
            yield group
            group = []
        group.append(n)
    if group:
        yield group
