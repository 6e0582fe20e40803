"""A group: the model says who speaks next, and several may answer before it is one's turn again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from transformer.cache import Cache
from transformer.decoder import Decoder

if TYPE_CHECKING:
    from pipeline.serving.session import Session

IN_A_ROW = 4  # turns of others before it is one's own turn at the latest


@torch.no_grad()
def opens_next(
    decoder: Decoder, context: Sequence[int], options: Sequence[list[int]], cache: Cache
) -> list[float]:
    """The probability of each of `options` (ids) to follow the context, among them alone.

    The cache is left so that it can be used on: what it holds begins with the context.
    """
    known = max(1, len(context))  # the first id of all has nothing before it
    scores = []
    for option in options:
        ids = [*context, *option]
        start = cache.truncate(min(cache.reuse(ids), known - 1))
        new = torch.tensor([ids[start:]], device=decoder.tokens.weight.device)
        hidden = decoder.hidden(new, cache)[0, known - 1 - start : -1]
        shares = decoder.head(hidden).float().log_softmax(-1)
        targets = torch.tensor(ids[known:], device=shares.device)
        scores.append(shares.gather(1, targets[:, None]).sum())
    found: list[float] = torch.stack(scores).softmax(0).tolist()
    return found


def answers(session: Session) -> Iterator[tuple[str, Iterator[str]]]:
    """Who answers what was just said, and the pieces of it, until it is one's own turn.

    Nobody has two turns in a row. The voice of the session is as it was in the end.
    """
    voice = session.voice
    try:
        for _ in range(IN_A_ROW):
            chances = session.next_speaker()
            if session.spoken:
                chances.pop(session.spoken[-1].turn.speaker, None)
            speaker = _one_of(chances, session.generator)
            if speaker == session.me:
                return
            session.imitate(speaker)
            yield speaker, session.answer()
    finally:
        session.voice = voice


def _one_of(chances: dict[str, float], generator: torch.Generator) -> str:
    weights = torch.tensor(list(chances.values()), dtype=torch.float64) + 1e-12
    return list(chances)[int(torch.multinomial(weights, 1, generator=generator))]
