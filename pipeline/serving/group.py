"""A group chat: who speaks next, and the replies until it is the user's turn again."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import torch

from pipeline.common.errors import DataError
from pipeline.dialogue.template import opening
from pipeline.serving.session import Session
from transformer.cache import Cache
from transformer.decoder import Decoder

MAX_IN_A_ROW = 4  # turns of others before it is the user's turn at the latest


def group_replies(session: Session) -> Iterator[tuple[str, Generator[str]]]:
    """Who answers what was just said, with the pieces of each reply, until it is the user's turn.

    Nobody has two turns in a row. The session's voice is the same afterwards.
    """
    voice = session.voice
    try:
        for _ in range(MAX_IN_A_ROW):
            chances = next_speaker(session)
            if session.spoken:
                chances.pop(session.spoken[-1].turn.speaker, None)
            weights = torch.tensor(list(chances.values()), dtype=torch.float64) + 1e-12
            drawn = torch.multinomial(weights, 1, generator=session.generator)
            speaker = list(chances)[int(drawn)]
            if speaker == session.me:
                return
            session.imitate(speaker)
            yield speaker, session.answer()
    finally:
        session.voice = voice


def next_speaker(session: Session) -> dict[str, float]:
    """The probability that each voice, and the user, opens the next turn.

    It is the model's own, or for a model that never learned the names the chat's: how often who
    follows whom. DataError where fewer than three speak, since two simply take turns.
    """
    names = list(dict.fromkeys((*session.voices, session.me)))
    if len(names) < 3:
        raise DataError(f"Nobody but {' and '.join(names)} has enough to say here for a group.")
    if session.card.follows:
        last = session.spoken[-1].turn.speaker if session.spoken else ""
        counts = session.card.follows.get(last, {})
        weights = {name: 1 + counts.get(name, 0) for name in names}  # nobody is impossible
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}
    options = [opening(name, session.tokenizer) for name in names]
    session.make_room(max(options, key=len))
    chances = option_chances(session.decoder, session.context_ids, options, session.cache)
    return dict(zip(names, chances, strict=True))


@torch.no_grad()
def option_chances(
    decoder: Decoder, context: Sequence[int], options: Sequence[list[int]], cache: Cache
) -> list[float]:
    """The probability that each of `options` (ids) follows the context, among them alone.

    The cache stays usable: what it holds afterwards begins with the context.
    """
    known = max(1, len(context))  # nothing comes before the very first id, so it has no probability
    scores = []
    for option in options:
        ids = [*context, *option]
        start = cache.truncate(min(cache.reuse(ids), known - 1))
        new = torch.tensor([ids[start:]], device=decoder.tokens.weight.device)
        hidden = decoder.hidden(new, cache)[0, known - 1 - start : -1]
        log_probs = decoder.head(hidden).float().log_softmax(-1)
        targets = torch.tensor(ids[known:], device=log_probs.device)
        scores.append(log_probs.gather(1, targets[:, None]).sum())
    chances: list[float] = torch.stack(scores).softmax(0).tolist()
    return chances
