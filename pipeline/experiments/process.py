"""A run in a process of its own, so that its memory is its own and a crash ends nothing else.

What a process prints, its tracebacks too, goes into a file that stays where the process failed:
on the screen, a crash is one line of the parent's, and Ctrl-C nothing but the parent's answer.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pipeline.common.errors import SoundalikeError
from pipeline.experiments.trial import Trial, output_of

GLANCE = 0.5  # seconds between two looks at a run
GRACE = 20.0  # seconds that a stopped run has to save where it is

Tick = Callable[[], None]
Runner = Callable[[Trial, Path, bool, Tick], None]


class Crashed(SoundalikeError):
    """A process ended before its work did."""


def in_child(trial: Trial, folder: Path, keeps: bool, tick: Tick) -> None:
    """Do a run and come back when it is whole, calling `tick` meanwhile; or raise `Crashed`."""
    await_child(_run, (trial, folder, keeps), output_of(trial, folder), tick)


def await_child(
    work: Callable[..., None], given: tuple[Any, ...], output: Path, tick: Tick
) -> None:
    """Call `work(*given)` in a new process, which prints into the file `output`."""
    child = multiprocessing.get_context("spawn").Process(
        target=_quietly, args=(work, given, output), daemon=True
    )
    with _interrupts_later():
        child.start()
    try:
        while child.is_alive():
            child.join(GLANCE)
            tick()
    except BaseException:
        _end(child)
        raise
    if child.exitcode:
        raise Crashed(f"The process of a run ended with code {child.exitcode}; {output} says more")


def _end(child: BaseProcess) -> None:
    """Let it save where it is, as Ctrl-C in a terminal has reached it too; then end it."""
    child.join(GRACE)
    if child.is_alive():
        child.terminate()
        child.join()


def _run(trial: Trial, folder: Path, keeps: bool) -> None:
    from pipeline.experiments.run import run

    run(trial, folder, keeps)


def _quietly(work: Callable[..., None], given: tuple[Any, ...], output: Path) -> None:
    """All that a child does."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        try:
            _hear_interrupts()
            work(*given)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is ending already
            raise SystemExit(1) from None
        except Exception:
            traceback.print_exc()
            raise SystemExit(1) from None
    output.unlink()


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """A Ctrl-C waits, also in a child begun here, until that hears it (not on Windows).

    A child that is still importing what it needs would answer with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hear_interrupts() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _leave_with_parent() -> None:
    """End with the command that began this run, should it be killed: another may begin it anew."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
