"""Runs stages: skips those up to date, gives each its task, and writes its record at the end."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from rich.console import Console

from pipeline.common import processes
from pipeline.common.errors import WorkspaceError, one_line
from pipeline.common.processes import ALONE, World
from pipeline.common.screen import Screen
from pipeline.workspace.freshness import Reasons, larger, shape, upstream, why
from pipeline.workspace.record import Counts, Record, TrainingBudget
from pipeline.workspace.settings import Settings
from pipeline.workspace.stages import STAGES, Stage
from pipeline.workspace.workspace import Workspace, make_private


@dataclass(frozen=True)
class Task:
    """What a stage is given to work with.

    `key` names what shapes the result: half-done work under another key is not continued.
    """

    workspace: Workspace
    stage: Stage
    screen: Screen
    budget: TrainingBudget
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
    """Run the stages that are out of date, in order.

    `alone`: a budget was given together with one training stage, which then has all of it.
    """
    with workspace.lock():
        for stage in stages:
            if "source.export" not in stage.sources:
                workspace.exports.release()
            if not workspace.applies(stage):
                screen.stage(stage.heading, "nothing to do without an export")
                continue
            budget = workspace.budget(stage, alone)
            if _is_up_to_date(workspace, stage, budget):
                screen.stage(stage.heading, "up to date")
            else:
                _run_one(workspace, stage, screen, budget)


def _is_up_to_date(workspace: Workspace, stage: Stage, budget: TrainingBudget) -> bool:
    if why(workspace, stage) is not None:
        return False
    record = workspace.record(stage)
    return record is None or record.budget is None or larger(record.budget, budget) is None


def _run_one(workspace: Workspace, stage: Stage, screen: Screen, budget: TrainingBudget) -> None:
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
    record = Record(
        stage=stage.name,
        version=stage.version,
        settings=shaped.settings | workspace.stage_settings(stage.finish),
        sources=shaped.sources,
        inputs=shaped.inputs,
        parts=shaped.parts,
        budget=budget if stage.trains else None,
        seconds=round(time.monotonic() - began, 1),
        counts=counts,
    )
    workspace.finish(stage, record)
    screen.done(counts, record.seconds)
    _release_memory(workspace)


def _release_memory(workspace: Workspace) -> None:
    """Free the chat and garbage cycles, and return the memory to the system, where glibc would keep
    it: the next stage has models of its own."""
    workspace.chat.release()
    gc.collect()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def _code(stage: Stage) -> Callable[[Task], Counts]:
    """What does the stage's work; imported only now, since some load torch."""
    module = import_module(f"pipeline.stages.stage{stage.number}_{stage.name}")
    run: Callable[[Task], Counts] = module.run
    return run


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
    """A stage runs only on what is whole and up to date; names the earliest that is not."""
    reasons = Reasons(workspace)
    for earlier in upstream(stage):
        reason = reasons.why(earlier) if workspace.applies(earlier) else None
        if reason is not None:
            raise WorkspaceError(
                f"Stage {stage.number} ({stage.name}) builds on stage {earlier.number} "
                f"({earlier.name}), which is out of date: {reason}; "
                f"run `python -m pipeline {earlier.number}-{stage.number}`."
            )
