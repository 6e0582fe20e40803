"""`python -m pipeline experiments`: the arguments, checked before anything heavy is loaded."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.common.errors import DataError, WorkspaceError
from pipeline.common.screen import Screen
from pipeline.experiments.variants import FAMILIES, Family
from pipeline.workspace.workspace import make_private

ALL = "all"
MINUTES = 12.0  # per family
LOCK = ".lock"  # on Windows, removed by the command that held it
MARK = ".laboratory"  # stays, and identifies the folder as the laboratory's


def experiments(
    name: str, minutes: float | None, text: Path | None, folder: Path, screen: Screen
) -> None:
    """Study a family or all of them within the minutes, and write the page."""
    families = find_families(name)
    budget = MINUTES * len(families) if minutes is None else minutes
    if not 0 < budget < float("inf"):
        raise DataError(f"--minutes {budget:g} leaves no time to work; give a number above 0.")
    with open_folder(folder):
        from pipeline.experiments.study import study

        study(name, families, budget, text, folder, screen)


def find_families(name: str) -> list[Family]:
    """The family of that name, or all of them."""
    if name == ALL:
        return list(FAMILIES.values())
    if name not in FAMILIES:
        near = get_close_matches(name, FAMILIES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"pick one of {', '.join(FAMILIES)}, {ALL}."
        raise DataError(f"There is no family {name!r}: {hint}")
    return [FAMILIES[name]]


def open_folder(folder: Path) -> FileLock:
    """Lock the folder of results for one command; it is private, as its texts may be."""
    if folder.is_file():
        raise WorkspaceError(f"{folder} is a file; give --workspace a folder for the results.")
    if (folder / "workspace.toml").exists():
        raise WorkspaceError(
            f"{folder} is a workspace of its own; to train on its text give --text {folder}, and "
            "--workspace another folder for the results."
        )
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise WorkspaceError(
            f"{folder} contains other files; give --workspace an empty or new folder for the "
            "results."
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
