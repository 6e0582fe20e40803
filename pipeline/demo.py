"""`make demo`: the whole road on the sample chats, then a conversation with the result."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline import runner
from pipeline.screen import Screen
from pipeline.stages import MODEL, STAGES
from pipeline.workspace import HOME, Workspace

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
PERSONA = "Nour"
MINUTES = 2.0
PROMPTS = ("Good morning. Did you sleep?", "How is Gerald?", "Shall we have soup tonight?")


def demo(minutes: float | None, screen: Screen) -> None:
    """Run every stage; talk in a terminal, else print three prompts with their replies."""
    changes = {
        "source.export": [str(SAMPLES)],
        "source.persona": PERSONA,
        "budget.minutes": minutes or MINUTES,
    }
    workspace = Workspace.make(HOME / "demo", changes)
    runner.run(workspace, STAGES, screen)
    _talk(workspace.path / MODEL, screen)


def _talk(model: Path, screen: Screen) -> None:
    from pipeline.serving.session import Session
    from pipeline.serving.terminal import Terminal

    if sys.stdin.isatty() and sys.stdout.isatty():
        Terminal(Session(model), screen.console).run()
        return
    session = Session(model, seed=1)
    for prompt in PROMPTS:
        screen.say(f"{session.me}: {prompt}")
        for bubble in "".join(session.reply(prompt)).split("\n"):
            screen.say(f"{session.persona}: {bubble}")
