"""`explain`: a lesson about one idea."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli import shared_options
from pipeline.common.screen import Screen
from pipeline.explain import show
from pipeline.explain.lesson import Request


@click.command()
@click.argument("topic", required=False)
@click.argument("texts", nargs=-1, metavar="[TEXT]…")
@shared_options.workspace
@click.option("--out", type=shared_options.PATH, metavar="FILE", help="Where the picture goes.")
def explain(
    topic: str | None, texts: tuple[str, ...], workspace: Path | None, out: Path | None
) -> None:
    """A lesson about one idea, in the terminal and as a picture; without a topic, the list."""
    if topic is None:
        show.show_topics(Screen())
    else:
        show.explain(topic, Request(texts, workspace), out, Screen())
