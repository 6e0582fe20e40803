"""Which model folder is meant."""

from __future__ import annotations

from pathlib import Path

from pipeline.common.errors import WorkspaceError
from pipeline.workspace.stages import MODEL
from pipeline.workspace.workspace import find_workspace


def find_model(given: Path | None) -> Path:
    """A model folder, a workspace that has one, or (given nothing) the newest workspace's."""
    if given is not None and not given.exists():
        raise WorkspaceError(f"There is no {given}; check the path.")
    place = find_workspace(given)
    # Between two renames of a swap only the previous model is there.
    for folder in (place / MODEL, place / f"{MODEL}.previous", place):
        if (folder / "chat.json").exists():
            return folder
    raise WorkspaceError(
        f"{place} holds no finished model; `python -m pipeline status --workspace {place}` "
        "says what is missing."
    )
