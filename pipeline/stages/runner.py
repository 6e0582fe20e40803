"""Runs stages: skips the fresh ones, gives each its task, and writes its record at the end."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.common import processes
from pipeline.common.errors import WorkspaceError, one_line
from pipeline.common.processes import ALONE, World
from pipeline.common.screen import Screen
from pipeline.workspace.freshness import Reasons, larger, shape, upstream, why
from pipeline.workspace.settings import Settings
from pipeline.workspace.stages import STAGES, Stage
from pipeline.workspace.workspace import Workspace, make_private


@dataclass(frozen=True)
class Task:
    """What a stage is given to work with."""

    workspace: Workspace
    stage: Stage
    screen: Screen
    budget: dict[str, float]
    key: str
    world: World = ALONE

    @property
    def settings(self) -> Settings:
        return self.workspace.settings

    @property
    def folder(self) -> Path:
        """The stage's own folder."""
        return self.workspace.folder(self.stage)

    def path(self, name: str) -> Path:
        """A file of the workspace by its relative name."""
        return self.workspace.path / name


def run(workspace: Workspace, stages: Sequence[Stage], screen: Screen, alone: bool = False) -> None:
    """Run the stages that are stale, in order.

    `alone`: a budget was given together with one training stage, which then has all of it.
    """
    with workspace.lock():
        for stage in stages:
            if not workspace.applies(stage):
                screen.stage(stage.heading, "nothing to do without an export")
                continue
            budget = workspace.budget(stage, alone) if stage.trains else {}
            if _is_fresh(workspace, stage, budget):
                screen.stage(stage.heading, "fresh")
            else:
                _run_one(workspace, stage, screen, budget)


def _is_fresh(workspace: Workspace, stage: Stage, budget: dict[str, float]) -> bool:
    if why(workspace, stage) is not None:
        return False
    record = workspace.record(stage) or {}
    return not stage.trains or larger(record["budget"], budget) is None


def _run_one(workspace: Workspace, stage: Stage, screen: Screen, budget: dict[str, float]) -> None:
    _refuse_without_inputs(workspace, stage)
    shaped = shape(workspace, stage)
    folder = workspace.folder(stage)
    folder.mkdir(parents=True, exist_ok=True)
    make_private(folder)
    (folder / "stage.json").unlink(missing_ok=True)
    screen.stage(stage.heading)
    began = time.monotonic()
    task = Task(workspace, stage, screen, budget, shaped.key(stage.version), processes.join())
    if stage.trains:
        task.world.broadcast((workspace.path, stage.number, budget, task.key))
    with one_line():
        counts = _code(stage)(task)
    seconds = round(time.monotonic() - began, 1)
    facts: dict[str, Any] = {**asdict(shaped), "budget": budget, "seconds": seconds}
    facts["settings"] |= workspace.stage_settings(stage.finish)
    workspace.finish(stage, {**facts, "counts": counts})
    screen.done(counts, seconds)
    _let_go()


def _let_go() -> None:
    """Free what a stage held in cycles, and give it back to the system where glibc would keep it:
    the next stage has models of its own."""
    gc.collect()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def _code(stage: Stage) -> Callable[[Task], dict[str, Any]]:
    """What does the stage's work; imported only now, since some load torch."""
    module = import_module(f"pipeline.stages.stage{stage.number}_{stage.name}")
    return module.run  # type: ignore[no-any-return]


def follow(process: World) -> None:
    """What all processes but the first do: train when it does, until it calls no more."""
    while call := process.broadcast(None):
        path, number, budget, key = call
        screen = Screen(Console(quiet=True))
        stage = STAGES[number - 1]
        with one_line():
            _code(stage)(Task(Workspace(path), stage, screen, budget, key, process))
    processes.leave()


def _refuse_without_inputs(workspace: Workspace, stage: Stage) -> None:
    """A stage runs only on what is whole and fresh; names the earliest that is not."""
    reasons = Reasons(workspace)
    for earlier in upstream(stage):
        reason = reasons.why(earlier) if workspace.applies(earlier) else None
        if reason is not None:
            raise WorkspaceError(
                f"Stage {stage.number} ({stage.name}) builds on stage {earlier.number} "
                f"({earlier.name}), which is not fresh: {reason}; "
                f"run `python -m pipeline {earlier.number}-{stage.number}`."
            )
