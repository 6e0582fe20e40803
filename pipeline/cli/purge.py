"""`purge`: delete a workspace."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli import shared_options
from pipeline.workspace.workspace import Workspace, find_workspace


@click.command()
@shared_options.workspace
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(workspace: Path | None, yes: bool) -> None:
    """Delete a workspace: messages, models, everything."""
    doomed = Workspace(find_workspace(workspace))
    if not yes:
        click.confirm(f"Delete {doomed.path} with all its messages and models?", abort=True)
    doomed.purge()
    click.echo(f"{doomed.path} is deleted.")
