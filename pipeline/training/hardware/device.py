"""Where and how to compute: the device, its threads, and the number format that is faster there."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil
import torch

from pipeline.common.errors import SettingsError
from pipeline.common.processes import World
from pipeline.workspace.settings import Train

PROBE_SECONDS = 1.0
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Machine:
    """A device, the number format of its matrix products, and the CPU's threads."""

    device: torch.device
    precision: str = "float32"
    threads: int = 1

    @classmethod
    def plain(cls, device: torch.device) -> Machine:
        """What works everywhere."""
        return cls(device, threads=torch.get_num_threads())

    @property
    def way(self) -> dict[str, Any]:
        """What a checkpoint remembers, so that a resumed run computes the same numbers."""
        return {"precision": self.precision, "threads": self.threads}

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.precision]

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which forward passes run."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def use(self) -> None:
        """Set what belongs to the whole process."""
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)

    def __str__(self) -> str:
        threads = f", {self.threads} threads" if self.device.type == "cpu" else ""
        return f"{self.device.type}, {self.precision}{threads}"


def pick_device(name: str, world: World) -> torch.device:
    """The device of a setting; auto takes the fastest there is, each process its own card."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, found in there.items() if found)
    if not there[name]:
        found = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise SettingsError(f"train.device is {name}, but this machine has only {found}.")
    if name != "cuda":
        return torch.device(name)
    if world.local >= (count := torch.cuda.device_count()):
        raise SettingsError(
            f"More processes were started than this machine has GPUs ({count}): use "
            f"`torchrun --nproc-per-node {count}`, or set train.device to cpu."
        )
    return torch.device(name, world.local)


def prepare(settings: Train, world: World) -> torch.device:
    """Set what holds for the whole process, and pick the device."""
    torch.set_float32_matmul_precision("high")  # TF32 where a card has it
    if settings.threads != "auto":
        torch.set_num_threads(settings.threads)
    return pick_device(settings.device, world)


def candidates(settings: Train, device: torch.device) -> list[Machine]:
    """What is worth timing on this device."""
    formats = [settings.precision] if settings.precision != "auto" else _formats(device)
    return [
        Machine(device, precision, count)
        for precision in formats
        for count in _threads(settings, device)
    ]


def fastest(settings: Train, device: torch.device) -> Machine:
    """The way to compute with the fastest large products: enough for work without training."""
    return max(candidates(settings, device), key=peak_flops)


def _formats(device: torch.device) -> list[str]:
    """Number formats worth timing: float32, and the half of it whose products are faster."""
    half = "bfloat16"
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        half = "float16"
    if device.type == "mps":
        return ["float32", half]
    faster = peak_flops(Machine(device, half), size=512) > peak_flops(Machine(device), size=512)
    return ["float32", half] if faster else ["float32"]


def _threads(settings: Train, device: torch.device) -> list[int]:
    """Numbers of threads worth timing: torch's own choice, and all that the processor runs."""
    own = torch.get_num_threads()
    if settings.threads != "auto" or device.type != "cpu":
        return [own]
    return sorted({own, psutil.cpu_count(logical=False) or own})


def seconds(action: Callable[[], object], world: World) -> float:
    """The median duration of an action, repeated for a second and three times after a first go.

    One that takes longer than that second is done once. All processes of the `world` repeat it
    equally often, and get the first one's answer.
    """
    first = timed(action)
    if world.agreed(first > PROBE_SECONDS):
        return float(world.agreed(first))
    taken: list[float] = []
    while world.agreed(sum(taken) < PROBE_SECONDS or len(taken) < 3):
        taken.append(timed(action))
    return float(world.agreed(sorted(taken)[len(taken) // 2]))


def timed(action: Callable[[], object]) -> float:
    """How long an action takes, the device's part of it included."""
    began = time.perf_counter()
    action()
    wait()
    return time.perf_counter() - began


def wait() -> None:
    """Until the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    elif torch.backends.mps.is_available():
        torch.mps.synchronize()


def peak_flops(machine: Machine, size: int = 0) -> float:
    """Floating point operations a second of a large matrix product: what the device can do."""
    size = size or (1024 if machine.device.type == "cpu" else 4096)
    a = torch.ones(size, size, device=machine.device, dtype=machine.dtype)
    product = partial(torch.mm, a, a)
    product()
    return 2.0 * size**3 / min(timed(product) for _ in range(3))
