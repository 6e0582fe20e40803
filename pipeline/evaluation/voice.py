"""A voice: a model as one speaker. What it answers, and how likely it finds given answers.

Everything is done for many moments at once: that is what makes a thousand replies affordable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional as F

from minbpe.base import Tokenizer
from pipeline.dialogue.template import closing, end_id, opening, render_turn
from pipeline.dialogue.turns import Turn
from pipeline.evaluation.intervals import Floats
from pipeline.evaluation.moments import Moment, Reply
from pipeline.serving.rules import MAX_DRAWS, Rule, end_reply, forbidden_ids, sampling
from pipeline.serving.session import fit_turn
from pipeline.workspace.settings import Chat
from transformer.batched import generate_batch
from transformer.cache import Cache
from transformer.decoder import Decoder

CONTEXT = 256  # tokens of the conversation at most
MAX_LENGTH_RATIO = 1.5  # between the longest and the shortest of texts that are read together


@dataclass(frozen=True)
class Voice:
    """`decoder` as `speaker`; with `instead_of`, these two have exchanged names in the chat."""

    decoder: Decoder
    tokenizer: Tokenizer
    chat: Chat
    speaker: str
    instead_of: str = ""
    max_tokens: int = 160  # of a reply
    endings: Sequence[Rule] = ()

    def context(self, moment: Moment) -> list[int]:
        """The newest whole turns that fit, and the prefix of the speaker's own turn."""
        room = min(CONTEXT, self.decoder.config.block // 2)
        ids = opening(self.speaker, self.tokenizer)
        for number, turn in enumerate(reversed(moment.before)):
            turn, limit = self.renamed(turn), room - len(ids)
            if number and len(render_turn(turn, self.tokenizer, learned=False).ids) > limit:
                break
            ids = fit_turn(turn, self.tokenizer, limit) + ids
        return ids

    def renamed(self, turn: Turn) -> Turn:
        """The turn with the two names exchanged, where they are."""
        if not self.instead_of:
            return turn
        exchanged = {self.instead_of: self.speaker, self.speaker: self.instead_of}
        return replace(turn, speaker=exchanged.get(turn.speaker, turn.speaker))

    def replies(self, moments: Sequence[Moment], each: int, seed: int) -> list[Reply]:
        """`each` replies to every moment, drawn as in the chat: an empty one is drawn again."""
        replies = self._draw(moments, each, seed)
        by_number = {moment.number: moment for moment in moments}
        for attempt in range(1, MAX_DRAWS):
            empty = [n for n, reply in enumerate(replies) if not reply.text]
            again = self._draw([by_number[replies[n].prompt] for n in empty], 1, seed + attempt)
            for n, reply in zip(empty, again, strict=True):
                replies[n] = reply
        return replies

    def _draw(self, moments: Sequence[Moment], each: int, seed: int) -> list[Reply]:
        device = self.decoder.tokens.weight.device
        contexts = [self.context(moment) for moment in moments]
        ids = generate_batch(
            self.decoder,
            [context for context in contexts for _ in range(each)],
            min(self.max_tokens, self.decoder.config.block // 2),
            sampling(self.chat),
            stop_ids=[end_id(self.tokenizer)],
            forbidden_ids=forbidden_ids(self.tokenizer, self.decoder),
            generator=torch.Generator(device).manual_seed(seed),
        )
        numbers = [moment.number for moment in moments for _ in range(each)]
        return [
            Reply(end_reply(self.tokenizer.decode(said), self.endings), number)
            for said, number in zip(ids, numbers, strict=True)
        ]

    @torch.no_grad()
    def chances(self, context: Sequence[int], texts: Sequence[str]) -> Floats:
        """The log-probability of each of some texts as the whole turn after a context."""
        decoder, device = self.decoder, self.decoder.tokens.weight.device
        ends = closing(self.tokenizer)[:1]
        room = decoder.config.block - len(context) + 1  # a longer text is cut at its end
        turns = [[*self.tokenizer.encode(text), *ends][:room] for text in texts]
        cache = decoder.new_cache()
        if len(context) > 1:
            decoder.hidden(torch.tensor([context[:-1]], device=device), cache)
        chances = np.zeros(len(turns))
        for group in _of_similar_length([len(turn) for turn in turns]):
            chances[group] = self._after(context[-1], [turns[n] for n in group], cache)
        return chances

    def _after(self, last: int, turns: Sequence[list[int]], cache: Cache) -> Floats:
        """Summed log-probabilities of turns of similar length, each after what the cache holds."""
        device = self.decoder.tokens.weight.device
        longest = max(map(len, turns))
        x, y = (
            torch.tensor([row + [-1] * (longest - len(row)) for row in rows], device=device)
            for rows in ([[last, *turn[:-1]] for turn in turns], turns)
        )
        every = cache.select_rows(torch.zeros(len(turns), dtype=torch.long, device=device))
        sums = []
        for hidden, targets in zip(self.decoder.hidden(x, every), y, strict=True):
            known = targets >= 0
            logits = self.decoder.head(hidden[known]).float()  # of one text at a time: it is wide
            sums.append(-float(F.cross_entropy(logits, targets[known], reduction="sum")))
        return np.array(sums)


def _of_similar_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The indices of texts, shortest first, in groups of similar length."""
    group: list[int] = []
    for n in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and lengths[n] > MAX_LENGTH_RATIO * lengths[group[0]]:
            yield group
            group = []
        group.append(n)
    if group:
        yield group
