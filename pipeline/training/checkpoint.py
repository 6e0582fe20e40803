"""A checkpoint: weights, optimizer and where the run stands, in one file.

One file, because replacing one file is atomic on every system. It carries its own content hash;
a damaged one is refused in a line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pipeline.errors import WorkspaceError
from pipeline.files import atomic

NAME = "checkpoint.safetensors"
Tensors = dict[str, torch.Tensor]


def write(folder: Path, tensors: Tensors, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint in `folder`."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    meta = {"state": json.dumps(state), "sha256": _digest(tensors)}
    with atomic(folder / NAME, "wb") as file:
        file.write(save(tensors, meta))


def read(folder: Path) -> tuple[Tensors, dict[str, Any]]:
    """The tensors and the state of the checkpoint in `folder`."""
    path = folder / NAME
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata()
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        if meta["sha256"] != _digest(tensors):
            raise ValueError("its content does not match its hash")
        return tensors, json.loads(meta["state"])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(
            f"{path} is damaged ({error}); delete the folder {folder.name} to train again "
            "from the beginning of the stage."
        ) from None


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
