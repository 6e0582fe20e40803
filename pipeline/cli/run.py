"""`run`: the stages that are not up to date, from the export to the chat."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pipeline.cli.opening import opened
from pipeline.cli.shared_options import Given, chosen_stages, sources
from pipeline.common.screen import Screen
from pipeline.stages import runner
from pipeline.workspace.stages import MODEL, REPORT, STAGES, Stage, by_name
from pipeline.workspace.workspace import Workspace
from transformer.packages import python, typed


@click.command()
@click.argument("words", nargs=-1, metavar="[STAGES]…")
@sources
def run(given: Given, words: tuple[str, ...]) -> None:
    """Run every stage that is not up to date, or the stages named.

    STAGES are numbers, names, or ranges such as 3-5; they may stand without `run` too.
    """
    run_stages(given, chosen_stages(words, given) or STAGES, Screen())


def run_stages(given: Given, stages: Sequence[Stage], screen: Screen) -> Workspace:
    """Open (or make) the workspace, and run the stages that are not up to date."""
    workspace = opened(given, screen)
    if given.minutes is not None and workspace.settings.budget.epochs:
        screen.warn(
            "budget.epochs is set here, so --minutes changes nothing; "
            "`--set budget.epochs=0` goes by minutes again"
        )
    timed = given.minutes is not None or given.epochs is not None
    training = [s for s in stages if s.trains and workspace.applies(s)]
    runner.run(workspace, stages, screen, alone=timed and len(training) == 1)
    if by_name("evaluate") in stages and (workspace.path / MODEL).exists():
        screen.say(f"How alike it is: {typed(workspace.path / REPORT)}")
        screen.say(f"Talk with it:    {python()} chat.py {typed(workspace.path / MODEL)}")
    return workspace
