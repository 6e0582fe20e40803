"""Where and how to compute: the device, its threads, and the number format that is faster there."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from pipeline.config import Train
from pipeline.errors import SettingsError

PROBE_SECONDS = 1.0


@dataclass(frozen=True)
class Machine:
    """A device and the number format of its matrix products."""

    device: torch.device
    dtype: torch.dtype = torch.float32

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which forward passes run."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def __str__(self) -> str:
        return f"{self.device.type}, {str(self.dtype).removeprefix('torch.')}"


def pick_device(name: str) -> torch.device:
    """The device of a setting; auto takes the fastest there is."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, found in there.items() if found))
    if not there[name]:
        found = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise SettingsError(f"train.device is {name}, but this machine has only {found}.")
    return torch.device(name)


def prepare(settings: Train) -> torch.device:
    """Set the number of threads, and pick the device."""
    if settings.threads != "auto":
        torch.set_num_threads(settings.threads)
    return pick_device(settings.device)


def candidates(settings: Train, device: torch.device) -> list[Machine]:
    """The number formats worth timing on this device."""
    dtypes = {"float32": [torch.float32], "bfloat16": [torch.bfloat16]}
    both = [torch.float32, torch.bfloat16]
    return [Machine(device, dtype) for dtype in dtypes.get(settings.precision, both)]


def seconds(action: Callable[[], None], least: float = PROBE_SECONDS) -> float:
    """The median duration of an action, repeated for at least `least` seconds after a first go."""
    action()
    taken: list[float] = []
    while sum(taken) < least or len(taken) < 3:
        began = time.perf_counter()
        action()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) // 2]
