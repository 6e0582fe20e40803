"""A group: the model says who speaks next, and several may answer before it is one's turn again."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from pipeline.serving.session import Session

IN_A_ROW = 4  # turns of others before it is one's own turn at the latest


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
