"""Checkpoints: weights, optimizers and where the run stands, the newest few in one folder.

Each is one file, because replacing one file is atomic on every system, and carries its own content
hash: a damaged one is passed over for the one before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from pipeline.common.errors import WorkspaceError
from pipeline.common.files import atomic
from transformer.io import as_safetensors

Tensors = dict[str, torch.Tensor]
Saved = tuple[Tensors, dict[str, Any]]

ENDING = ".safetensors"
DAMAGED = (SafetensorError, OSError, ValueError, LookupError, TypeError)


class Folder:
    """The checkpoints in one folder, of which the newest `keep` stay."""

    def __init__(self, path: Path, keep: int = 1) -> None:
        self.path, self.keep = path, keep

    def files(self) -> list[Path]:
        """The checkpoints, newest first."""
        return sorted(self.path.glob(f"step-*{ENDING}"), reverse=True)

    def write(self, step: int, tensors: Tensors, state: Mapping[str, Any]) -> None:
        """Add the checkpoint of a step; newer ones (of a run gone back) and the oldest go."""
        for left in self.path.glob("*.part"):  # by a process that was ended while it wrote
            left.unlink()
        path = self.path / f"step-{step:09d}{ENDING}"
        _write(path, tensors, state)
        older = [file for file in self.files() if file < path]
        for file in [*(f for f in self.files() if f > path), *older[self.keep - 1 :]]:
            file.unlink()

    def key(self) -> str | None:
        """The key of the run whose newest checkpoint this is, as far as it can be read."""
        for path in self.files():
            try:
                with safe_open(path, framework="pt") as file:
                    return str(json.loads(file.metadata()["state"])["key"])
            except DAMAGED:
                continue
        return None

    def read(
        self, tell: Callable[[str], None], skip: int = 0, mapped: bool = False
    ) -> Saved | None:
        """The newest checkpoint that is whole, but for the `skip` newest while there are older.

        Its tensors may stay `mapped`, for several processes that each want a part of them. None
        where there is none. Tells of damaged ones, and raises WorkspaceError when all are.
        """
        reason = ""
        files = self.files()
        for path in files[min(skip, max(0, len(files) - 1)) :]:
            try:
                return _read(path, mapped)
            except DAMAGED as error:
                reason = f"{path} is damaged ({error})"
                tell(f"{reason}; trying the one before it")
        if not reason:
            return None
        raise WorkspaceError(
            f"{reason}, and no other is left; delete the folder {self.path} to train again from "
            "the beginning of the stage."
        )


def _write(path: Path, tensors: Tensors, state: Mapping[str, Any]) -> None:
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    meta = {"state": json.dumps(state), "sha256": _digest(tensors)}
    with atomic(path, "wb") as file:
        file.writelines(as_safetensors(tensors, meta))


def _read(path: Path, mapped: bool) -> Saved:
    with safe_open(path, framework="pt") as file:
        meta = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if not mapped:  # a file that is still mapped could not be replaced on Windows
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    if meta["sha256"] != _digest(tensors):
        raise ValueError("its content does not match its hash")
    return tensors, json.loads(meta["state"])


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
