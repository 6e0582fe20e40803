"""`status` and `why`: what is done, what is out of date, and why."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from pipeline.cli import shared_options
from pipeline.common.screen import Screen
from pipeline.workspace.freshness import Reasons
from pipeline.workspace.stages import STAGES, by_name
from pipeline.workspace.workspace import Workspace, find_workspace

SHOWN = 3  # counts of a stage


@click.command()
@shared_options.workspace
def status(workspace: Path | None) -> None:
    """What is done, what is out of date, and why."""
    opened = Workspace(find_workspace(workspace))
    reasons = Reasons(opened)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "stage", "state", "what came out"):
        table.add_column(column)
    for stage in STAGES:
        if not opened.applies(stage):
            state, style = "nothing to do", "dim"
        elif (reason := reasons.why(stage)) is None:
            state, style = "up to date", "green"
        else:
            state, style = reason, "yellow"
        record = opened.record(stage)
        counts = list(record.counts.items())[:SHOWN] if record else []
        results = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in counts)
        table.add_row(
            str(stage.number), stage.name, f"[{style}]{escape(state)}[/]", escape(results)
        )
    screen = Screen()
    screen.say(str(opened.path))
    screen.console.print(table)


@click.command()
@click.argument("stage")
@shared_options.workspace
def why(stage: str, workspace: Path | None) -> None:
    """Why a stage would run again, in a sentence."""
    opened, named = Workspace(find_workspace(workspace)), by_name(stage)
    if not opened.applies(named):
        click.echo(f"{named.name} has nothing to do without an export.")
    elif (reason := Reasons(opened).why(named)) is None:
        click.echo(f"{named.name} is up to date.")
    else:
        click.echo(f"{named.name} would run: {reason}.")
