"""The files of a run: checkpoints to go on from, and the log of its evaluations.

    last/    the newest checkpoints        stable/  the one from before the decay
    log.jsonl  one line per evaluation     tensorboard/  the same as events, on request

A checkpoint is one file, because replacing one file is atomic on every system, and carries its own
content hash: a damaged one is passed over for the one before it.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from pipeline.common.errors import DataError, SettingsError, WorkspaceError
from pipeline.common.files import atomic
from pipeline.common.processes import ALONE, World
from pipeline.common.screen import Screen
from pipeline.training.state import Saved, TrainState
from pipeline.training.validation import Loss
from transformer.io import as_safetensors
from transformer.packages import install

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Tensors = dict[str, torch.Tensor]

LAST, STABLE, LOG, EVENTS = "last", "stable", "log.jsonl", "tensorboard"
ENDING = ".safetensors"
DAMAGED = (SafetensorError, OSError, ValueError, LookupError, TypeError)
TENSORBOARD = "tensorboard==2.21.0"


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stood, with the tensors to go on from there."""

    tensors: Tensors
    state: TrainState


class Checkpoints:
    """The checkpoints of a run in its folder: the newest `keep`, and the one before the decay.

    Only the first process writes. With `mapped`, tensors that are read stay in the file, for
    several processes that each want a part of them.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        screen: Screen,
        keep: int = 1,
        world: World = ALONE,
        mapped: bool = False,
    ) -> None:
        self.folder, self.key, self.screen, self.keep = folder, key, screen, keep
        self.world, self.mapped = world, mapped

    def save(self, tensors: Tensors, state: TrainState) -> None:
        """Write the newest checkpoint.

        Deletes later checkpoints, left from before a rollback, and the oldest ones.
        """
        if self.world.leads:
            _write(self.folder / LAST, tensors, state, self.keep)

    def save_stable(self, tensors: Tensors, state: TrainState) -> None:
        """Write the checkpoint from before the decay, from where a larger budget goes on."""
        if self.world.leads:
            _write(self.folder / STABLE, tensors, state, keep=1)

    def last(self, skip: int = 0) -> Checkpoint | None:
        """The newest checkpoint that is whole, but for the `skip` newest while there are older.

        None where the run has none. Raises WorkspaceError when all are damaged.
        """
        return self._find(LAST, skip)

    def stable(self) -> Checkpoint | None:
        """The checkpoint from before the decay, if the run came to that."""
        return self._find(STABLE, 0)

    def _find(self, name: str, skip: int) -> Checkpoint | None:
        damage = ""
        read: tuple[Tensors, Saved] | None = None
        paths = checkpoint_files(self.folder / name)
        for path in paths[min(skip, max(0, len(paths) - 1)) :]:
            try:
                read = _read(path, self.mapped)
                break
            except DAMAGED as error:
                damage = f"{path} is damaged ({error})"
                self.screen.warn(f"{damage}; trying the one before it")
        if read is None and damage:
            raise WorkspaceError(
                f"{damage}, and no other is left; delete the folder {self.folder / name} to train "
                "again from the beginning of the stage."
            )
        # All have read before one of them writes.
        step = 1 + read[1]["step"] if read else 0
        if self.world.all_reduce_sum(step) != [self.world.size * step]:
            raise DataError("The processes read different checkpoints; run the same command again.")
        if read is None or read[1].get("key") != self.key:
            return None
        return Checkpoint(read[0], TrainState.from_dict(read[1]))


def saved_key(folder: Path) -> str | None:
    """The key of the run whose checkpoints are in a folder, as far as it can be read."""
    for path in checkpoint_files(folder / LAST):
        try:
            with safe_open(path, framework="pt") as file:
                return str(json.loads(file.metadata()["state"])["key"])
        except DAMAGED:
            continue
    return None


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints in `last/` or `stable/`, newest first."""
    return sorted(folder.glob(f"step-*{ENDING}"), reverse=True)


def _write(folder: Path, tensors: Tensors, state: TrainState, keep: int) -> None:
    for unfinished in folder.glob("*.part"):  # by a process that was killed while it wrote
        unfinished.unlink()
    path = folder / f"step-{state.step:09d}{ENDING}"
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    metadata = {"state": json.dumps(state.to_dict()), "sha256": _digest(tensors)}
    with atomic(path, "wb") as file:
        file.writelines(as_safetensors(tensors, metadata))
    paths = checkpoint_files(folder)
    newest = paths.index(path)
    for file_path in [*paths[:newest], *paths[newest + keep :]]:
        file_path.unlink()


def _read(path: Path, mapped: bool) -> tuple[Tensors, Saved]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if not mapped:  # a file that is still mapped could not be replaced on Windows
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    if metadata["sha256"] != _digest(tensors):
        raise ValueError("its content does not match its hash")
    return tensors, json.loads(metadata["state"])


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class Log:
    """`log.jsonl`, one line per evaluation, and TensorBoard's events beside it on request."""

    def __init__(self, folder: Path, tensorboard: bool) -> None:
        self.path = folder / LOG
        self._events = _events_writer(folder / EVENTS) if tensorboard else None

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *error: object) -> None:
        if self._events is not None:
            self._events.close()

    def cut(self, step: int) -> None:
        """Drop the lines of later steps, which will be taken again, and an incomplete line."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        with atomic(self.path) as file:
            file.writelines(f"{line}\n" for line in text.splitlines() if _step_of(line) <= step)

    def add(
        self, state: TrainState, learning_rate: float, train_loss: float, validation: Loss
    ) -> None:
        """Write down an evaluation."""
        seconds = state.time.step_seconds
        row = {
            "step": state.step,
            "tokens": state.tokens,
            "seconds": round(seconds, 2),
            "lr": learning_rate,
            "train_loss": round(train_loss, 5),
            "val_loss": round(validation.per_token, 5),
            "val_bits_per_byte": round(validation.bits_per_byte, 5),
            "tokens_per_second": round(state.tokens / max(seconds, 1e-9)),
        }
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(row) + "\n")
        if self._events is not None:
            for name, value in row.items():
                self._events.add_scalar(name, value, int(row["step"]))
            self._events.flush()


def _events_writer(folder: Path) -> SummaryWriter:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise SettingsError(
            f"train.tensorboard needs a package that is not here; run `{install(TENSORBOARD)}`, or "
            "set train.tensorboard = false."
        ) from None
    return SummaryWriter(str(folder))


def _step_of(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
