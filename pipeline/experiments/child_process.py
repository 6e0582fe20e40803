"""A run in a process of its own, so that its memory is its own and a crash ends nothing else.

What a process prints, tracebacks included, goes into a file that is kept if the process failed:
on the screen a crash is one line, and Ctrl-C shows only what the parent answers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.common.errors import SoundalikeError

if TYPE_CHECKING:
    from pipeline.experiments.trial import Trial  # loads torch: only a child that needs it should

POLL_SECONDS = 0.5
STOP_SECONDS = 20.0  # for a stopped run to save its state

Work = Callable[[], object]  # must be picklable
Tick = Callable[[], None]
Runner = Callable[["Trial", Path, bool, Tick], None]


class Crashed(SoundalikeError):
    """A process ended before its work was done."""


def run_in_child(trial: Trial, folder: Path, keep_model: bool, tick: Tick) -> None:
    """Do a run and return when it is complete, calling `tick` meanwhile; or raise `Crashed`."""
    await_child(partial(_run, trial, folder, keep_model), trial.output_path(folder), tick)


def _run(trial: Trial, folder: Path, keep_model: bool) -> None:
    from pipeline.experiments.run_trial import run

    run(trial, folder, keep_model)


def await_child(work: Work, output: Path, tick: Tick) -> None:
    """Call `work()` in a new process, which prints into the file `output`."""
    child = multiprocessing.get_context("spawn").Process(
        target=_child, args=(work, output), daemon=True
    )
    with _interrupts_blocked():
        child.start()
    try:
        while child.is_alive():
            child.join(POLL_SECONDS)
            tick()
    except BaseException:
        _end(child)
        raise
    if child.exitcode:
        raise Crashed(f"The process of a run ended with code {child.exitcode}; see {output}")


def _end(child: BaseProcess) -> None:
    """Let it save its state, since Ctrl-C in a terminal has reached it too; then end it."""
    child.join(STOP_SECONDS)
    if child.is_alive():
        child.terminate()
        child.join()


def _child(work: Work, output: Path) -> None:
    """Everything that a child does."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        try:
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            work()
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is ending already
            raise SystemExit(1) from None
        except Exception:
            traceback.print_exc()
            raise SystemExit(1) from None
    output.unlink()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Hold back Ctrl-C here, and in a child started here until it unblocks it (not on Windows).

    A child that is still importing would answer with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exit_with_parent() -> None:
    """End with the command that started this run, if it is killed: another may start it anew."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
