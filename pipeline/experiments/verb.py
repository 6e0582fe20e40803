"""`python -m pipeline experiments`: what was asked for, checked before anything heavy is loaded."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.common.errors import DataError, WorkspaceError
from pipeline.common.screen import Screen
from pipeline.experiments.families import FAMILIES, Family
from pipeline.workspace.workspace import make_private

ALL = "all"
MINUTES = 12.0  # a family
LOCK = ".lock"  # goes with the command that held it, on Windows
MARK = ".laboratory"  # stays, and says whose folder it is


def experiments(
    name: str, minutes: float | None, text: Path | None, folder: Path, screen: Screen
) -> None:
    """Study a family or all of them, within the minutes, and write the page."""
    families = chosen(name)
    budget = checked(MINUTES * len(families) if minutes is None else minutes)
    with opened(folder):
        from pipeline.experiments.study import study

        study(name, families, budget, text, folder, screen)


def chosen(name: str) -> list[Family]:
    """The families that a word means."""
    if name == ALL:
        return list(FAMILIES.values())
    if name not in FAMILIES:
        near = get_close_matches(name, FAMILIES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"pick one of {', '.join(FAMILIES)}, {ALL}."
        raise DataError(f"There is no family {name!r}: {hint}")
    return [FAMILIES[name]]


def checked(minutes: float) -> float:
    """A time that something can be done in."""
    if not 0 < minutes < float("inf"):
        raise DataError(f"--minutes {minutes:g} is no time to work in; give a number above 0.")
    return minutes


def opened(folder: Path) -> FileLock:
    """The folder of all results, for one command at a time; private, as its texts may be."""
    if folder.is_file():
        raise WorkspaceError(f"{folder} is a file; give --workspace a folder for the results.")
    if (folder / "workspace.toml").exists():
        raise WorkspaceError(
            f"{folder} is a workspace of its own; to learn from it give --text {folder}, and "
            "--workspace another folder for the results."
        )
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise WorkspaceError(
            f"{folder} holds other files; give --workspace an empty or new folder for the results."
        )
    folder.mkdir(parents=True, exist_ok=True)
    make_private(folder)
    (folder / MARK).touch()
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise WorkspaceError(f"{folder} is in use by another command; wait for it.") from None
    return lock
