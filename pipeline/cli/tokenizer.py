"""`tokenizer`: stage 3, or a look at what it does to a text."""

from __future__ import annotations

import click

from pipeline.cli.opening import opened
from pipeline.cli.run import run_stages
from pipeline.cli.shared_options import Given, chosen_stages, sources
from pipeline.common.errors import one_line
from pipeline.common.screen import Screen
from pipeline.stages import runner
from pipeline.workspace.stages import by_name
from pipeline.workspace.workspace import Workspace, find_workspace


@click.command()
@click.argument("words", nargs=-1, metavar="[STAGES]…")
@sources
@click.option("--compare", metavar="SIZES", help="Vocabulary sizes side by side: 512,1024,4096.")
@click.option("--show", metavar="TEXT", help="The tokens of a text, and the merges one by one.")
def tokenizer(given: Given, words: tuple[str, ...], compare: str | None, show: str | None) -> None:
    """Stage 3; or compare vocabulary sizes, or show how text becomes tokens."""
    stages = chosen_stages(("tokenizer", *words), given)
    if compare is None and show is None:
        run_stages(given, stages, Screen())
    elif words:
        raise click.UsageError("--compare and --show go with no other stage.")
    else:
        look(given, compare, show, Screen())


def look(given: Given, sizes: str | None, text: str | None, screen: Screen) -> None:
    """Compare vocabularies on the training text, `text` the example; or else show its tokens."""
    from pipeline.cli import tokenizer_compare, tokenizer_show

    vocab_sizes = tokenizer_compare.parse_sizes(sizes) if sizes is not None else []
    named = bool(given.settings())
    workspace = opened(given, screen) if named else Workspace(find_workspace(given.workspace))
    with one_line():
        if not vocab_sizes:
            tokenizer_show.show(workspace, text or "", screen)
            return
        if named:
            runner.run(workspace, [by_name("parse"), by_name("clean")], screen)
        tokenizer_compare.compare(
            workspace, vocab_sizes, text or tokenizer_compare.SENTENCE, screen
        )
