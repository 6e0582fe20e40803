"""`samples.md`: what the person answered, beside what the model answers to the same words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.dialogue.turns import Turn
from pipeline.files import atomic

SHOWN = 3  # turns of context above each reply


@dataclass(frozen=True)
class Exchange:
    """What was said before, the real reply, and the model's."""

    before: Sequence[Turn]
    real: str
    made: str


def prompts(rows: Iterable[dict[str, Any]], count: int) -> list[tuple[list[Turn], str]]:
    """Up to `count` moments in which the persona answered, evenly spread: context and reply."""
    moments = []
    for row in rows:
        turns = [Turn(t["speaker"], tuple(t["text"].split("\n"))) for t in row["turns"]]
        moments += [
            (turns[:n], turns[n].text)
            for n, t in enumerate(row["turns"])
            if n and t["learned"] and turns[n - 1].speaker != turns[n].speaker
        ]
    step = max(1.0, len(moments) / count)
    return [moments[int(n * step)] for n in range(min(count, len(moments)))]


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
            file.write(f"| {_inline(exchange.real)} | {_inline(exchange.made)} |\n")


def _inline(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ⏎ ")
