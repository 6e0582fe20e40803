"""`samples.md`: what the person answered, beside what the model answers to the same words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.files import atomic
from pipeline.dialogue.turns import Turn
from pipeline.evaluation.moments import Moment, Reply

SHOWN = 3  # turns of context above each reply


@dataclass(frozen=True)
class Exchange:
    """What was said before, the real reply, and the model's."""

    before: Sequence[Turn]
    real: str
    generated: str


def exchanges(moments: Sequence[Moment], replies: Sequence[Reply], count: int) -> list[Exchange]:
    """Up to `count` moments that were answered, evenly spread, each with the first reply to it."""
    first: dict[int, str] = {}
    for reply in replies:
        first.setdefault(reply.prompt, reply.text)
    answered = [moment for moment in moments if moment.number in first]
    size = min(count, len(answered))
    chosen = [answered[n * len(answered) // size] for n in range(size)]
    return [Exchange(m.before, m.real, first[m.number]) for m in chosen]


def write_samples(path: Path, persona: str, exchanges: Sequence[Exchange]) -> None:
    """A page for people, not for programs."""
    with atomic(path) as file:
        file.write(f"# {persona}: real replies and the model's\n\n")
        file.write("From conversations that nothing was trained on.\n")
        for number, exchange in enumerate(exchanges, 1):
            file.write(f"\n## {number}\n\n")
            for turn in exchange.before[-SHOWN:]:
                file.write(f"- {turn.speaker}: {_inline(turn.text)}\n")
            file.write("\n| real | generated |\n|---|---|\n")
            file.write(f"| {_inline(exchange.real)} | {_inline(exchange.generated)} |\n")


def _inline(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ⏎ ")
