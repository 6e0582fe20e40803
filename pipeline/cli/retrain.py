"""`retrain`: learn from a newer export, starting from the present model.

Settings, tokenizer and the split of everything seen before are kept; the old test conversations
stay the test, so that the figures before and after compare.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import click

from pipeline.cli.opening import opened
from pipeline.cli.shared_options import Given, refuse_path, sources
from pipeline.common.errors import WorkspaceError
from pipeline.common.screen import Screen
from pipeline.stages import runner
from pipeline.workspace.stages import CLEAN, DIALOGUES, MODEL, PINNED, STAGES, START
from pipeline.workspace.workspace import BASE, Workspace, find_workspace

UNFINISHED = "unfinished"
KEPT = ("config.json", "model.safetensors", "tokenizer.json")


@click.command()
@click.argument("words", nargs=-1, metavar="")
@sources
@click.option(
    "--from-scratch",
    "--fresh",
    is_flag=True,
    help="Start over with all exports instead of from the present model.",
)
def retrain(given: Given, words: tuple[str, ...], from_scratch: bool) -> None:
    """Learn from a newer export, starting from the present model."""
    if words:
        refuse_path(words[0], given)
        raise click.UsageError(f"retrain runs every stage; {words[0]} says nothing to it.")
    train_again(given, from_scratch, Screen())


def train_again(given: Given, from_scratch: bool, screen: Screen) -> None:
    """Add the exports to the workspace's own and train again, from the present model or not."""
    workspace = Workspace(find_workspace(given.workspace))
    if not (workspace.path / MODEL / "config.json").exists():
        raise WorkspaceError(
            f"{workspace.path} has no finished model yet; `python -m pipeline run` makes one."
        )
    if not (workspace.path / CLEAN).exists():
        raise WorkspaceError(
            f"{workspace.path} learned from no chat export, so there is nothing to add to; "
            "`python -m pipeline run` trains it again."
        )
    known = [Path(p) for p in workspace.settings.source.export]
    exports = tuple(dict.fromkeys([*known, *(p.resolve() for p in given.export)]))
    gone = [p for p in exports if not p.exists()]
    if gone:
        raise WorkspaceError(
            f"{gone[0]} is gone, but retraining reads old and new exports together; put it back, "
            "or take it out of source.export in workspace.toml when the new one holds it all."
        )
    before = _messages(workspace)
    workspace = opened(replace(given, workspace=workspace.path, export=exports), screen)
    (_start_over if from_scratch else _keep_present)(workspace)
    runner.run(workspace, STAGES, screen)
    (workspace.path / START / UNFINISHED).unlink(missing_ok=True)
    after = _messages(workspace)
    screen.say(f"{after - before:,} messages more than before ({before:,} → {after:,}).")
    if not from_scratch:
        old, new = (_bits(workspace, workspace.path / name) for name in (START, MODEL))
        if not math.isnan(old):
            screen.say(f"The same test replies: {old:.3f} → {new:.3f} bits per byte.")


def _messages(workspace: Workspace) -> int:
    record = workspace.record(STAGES[1])
    return int(record.counts["messages"]) if record else 0


def _keep_present(workspace: Workspace) -> None:
    """Set aside what training starts from, and the split. Doing it again changes nothing."""
    start = workspace.path / START
    if (start / UNFINISHED).exists():
        return  # an earlier retraining was stopped: `model/` may be what it has made
    new = start.with_name(START + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for name in KEPT:
        shutil.copyfile(workspace.path / MODEL / name, new / name)
    shutil.copyfile(workspace.path / CLEAN, workspace.path / PINNED)
    shutil.rmtree(start, ignore_errors=True)
    (new / BASE).write_text(workspace.settings.source.base, encoding="utf-8")
    (new / UNFINISHED).touch()
    new.rename(start)


def _start_over(workspace: Workspace) -> None:
    """Forget the present weights, tokenizer and split; `model/` stays until the new is whole."""
    shutil.rmtree(workspace.path / START, ignore_errors=True)
    (workspace.path / PINNED).unlink(missing_ok=True)
    for stage in STAGES:
        if stage.trains:
            shutil.rmtree(workspace.folder(stage), ignore_errors=True)


def _bits(workspace: Workspace, model: Path) -> float:
    """Bits per byte of a model on the test replies."""
    from pipeline.training.memmap import ArrayFile
    from pipeline.training.validation import measure, row_batches
    from transformer.io import load

    with ArrayFile(workspace.path / DIALOGUES[2]) as part:
        if not len(part):
            return math.nan
        return measure(load(model), row_batches(part.values), part.info["bytes"]).bits_per_byte
