"""`experiments`: the laboratory."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.shared_options import PATH
from pipeline.common.screen import Screen
from pipeline.experiments import run_families


@click.command()
@click.argument("family")
@click.option("--minutes", type=float, metavar="M", help="For all of it; otherwise 12 a family.")
@click.option(
    "--text",
    type=PATH,
    metavar="PATH",
    help="A text file or an encoded workspace; otherwise Python's own manual.",
)
@click.option(
    "--workspace",
    default="workspaces/laboratory",
    show_default=True,
    type=PATH,
    metavar="DIR",
    help="Where results are kept.",
)
def experiments(family: str, minutes: float | None, text: Path | None, workspace: Path) -> None:
    """The laboratory: compare the variants of a FAMILY, or `all`, under the same conditions.

    Families: positions, attention, activations, norms, placement, dropout, evolution, size,
    optimizer, learning-rate.
    """
    run_families.experiments(family, minutes, text, workspace, Screen())
