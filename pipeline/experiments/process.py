"""A run in a process of its own, so that its memory is its own and a crash ends nothing else."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pipeline.errors import SoundalikeError
from pipeline.experiments.trial import Trial, output_of

GLANCE = 0.5  # seconds between two looks at a run
GRACE = 20.0  # seconds that a stopped run has to save where it is

Tick = Callable[[], None]
Runner = Callable[[Trial, Path, bool, Tick], None]


class Crashed(SoundalikeError):
    """A process ended before its work did."""


def in_child(trial: Trial, folder: Path, keeps: bool, tick: Tick) -> None:
    """Do a run and come back when it is whole, calling `tick` meanwhile; or raise `Crashed`."""
    try:
        await_child(_run, (trial, folder, keeps), tick)
    except Crashed as reason:
        raise Crashed(f"{reason}; {output_of(trial, folder)} says more") from None


def await_child(work: Callable[..., None], given: tuple[Any, ...], tick: Tick) -> None:
    """Call `work(*given)` in a new process."""
    child = multiprocessing.get_context("spawn").Process(target=work, args=given, daemon=True)
    child.start()
    try:
        while child.is_alive():
            child.join(GLANCE)
            tick()
    except BaseException:
        _end(child)
        raise
    if child.exitcode:
        raise Crashed(f"The process of a run ended with code {child.exitcode}")


def _end(child: BaseProcess) -> None:
    """Let it save where it is, as Ctrl-C in a terminal has reached it too; then end it."""
    child.join(GRACE)
    if child.is_alive():
        child.terminate()
        child.join()


def _run(trial: Trial, folder: Path, keeps: bool) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    from pipeline.experiments.run import in_process

    in_process(trial, folder, keeps)


def _leave_with_parent() -> None:
    """End with the command that began this run, should it be killed: another may begin it anew."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
