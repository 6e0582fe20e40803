"""`evaluate`: stage 8, then a judge or canaries where they are asked for."""

from __future__ import annotations

import click

from pipeline.cli import run
from pipeline.cli.shared_options import Given, chosen_stages, sources
from pipeline.common.errors import one_line
from pipeline.common.screen import Screen


@click.command()
@click.argument("words", nargs=-1, metavar="[STAGES]…")
@sources
@click.option("--judge", metavar="URL", help="A server that speaks OpenAI's protocol judges too.")
@click.option("--model", metavar="NAME", help="The judge's name on that server.")
@click.option("--canaries", is_flag=True, help="Plant secrets in a short copy, and look for them.")
@click.option("--allow-remote", is_flag=True, help="Let parts of the chat leave this network.")
def evaluate(
    given: Given,
    words: tuple[str, ...],
    judge: str | None,
    model: str | None,
    canaries: bool,
    allow_remote: bool,
) -> None:
    """Stage 8; with --judge a language model then judges the samples."""
    from pipeline.cli import evaluate_judge

    if (judge is None) != (model is None):
        raise click.UsageError("--judge URL and --model NAME go together.")
    server = evaluate_judge.connect(judge, model, allow_remote) if judge and model else None
    stages = chosen_stages(("evaluate", *words), given)
    workspace = run.run_stages(given, stages, Screen())
    if server is not None:
        evaluate_judge.judge(workspace, server, Screen())
    if canaries:
        from pipeline.cli import evaluate_canaries

        with one_line():
            evaluate_canaries.canaries(workspace, Screen())
