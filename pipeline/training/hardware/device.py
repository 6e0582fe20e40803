"""Where to compute, in which number format and how many threads, and how fast that is."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

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
        """float32 and torch's own number of threads, which work everywhere."""
        return cls(device, threads=torch.get_num_threads())

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.precision]

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which forward passes run."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def use(self) -> None:
        """Set the number of threads, which is the whole process's."""
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)

    def __str__(self) -> str:
        threads = f", {self.threads} threads" if self.device.type == "cpu" else ""
        return f"{self.device.type}, {self.precision}{threads}"


def pick_device(name: str, world: World) -> torch.device:
    """The device of a setting; auto takes the fastest there is, each process its own GPU."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, is_there in available.items() if is_there)
    if not available[name]:
        there = ", ".join(kind for kind, is_there in available.items() if is_there)
        raise SettingsError(f"train.device is {name}, but this machine has only {there}.")
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
    torch.set_float32_matmul_precision("high")  # TF32 on GPUs that have it
    if settings.threads != "auto":
        torch.set_num_threads(settings.threads)
    return pick_device(settings.device, world)


def candidates(settings: Train, device: torch.device) -> list[Machine]:
    """The number formats and threads worth timing on this device."""
    formats = [settings.precision] if settings.precision != "auto" else _formats(device)
    return [
        Machine(device, precision, count)
        for precision in formats
        for count in _threads(settings, device)
    ]


def fastest(settings: Train, device: torch.device) -> Machine:
    """The one with the fastest large products: precise enough for work without training."""
    return max(candidates(settings, device), key=peak_flops)


def _formats(device: torch.device) -> list[str]:
    """float32, and the 16-bit format where its products are faster."""
    half = "bfloat16"
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        half = "float16"
    if device.type == "mps":
        return ["float32", half]
    faster = peak_flops(Machine(device, half), size=512) > peak_flops(Machine(device), size=512)
    return ["float32", half] if faster else ["float32"]


def _threads(settings: Train, device: torch.device) -> list[int]:
    """torch's own number of threads, and that of the processor's cores."""
    default = torch.get_num_threads()
    if settings.threads != "auto" or device.type != "cpu":
        return [default]
    return sorted({default, psutil.cpu_count(logical=False) or default})


def seconds(action: Callable[[], object], world: World) -> float:
    """The median duration of an action, after a first time to warm up.

    It is repeated for a second and at least three times; an action that takes longer than that
    second is done once. All processes repeat it equally often, and get the first one's answer.
    """
    first = world.broadcast(timed(action))
    if first > PROBE_SECONDS:
        return first
    durations: list[float] = []
    while world.broadcast(sum(durations) < PROBE_SECONDS or len(durations) < 3):
        durations.append(timed(action))
    return world.broadcast(sorted(durations)[len(durations) // 2])


def timed(action: Callable[[], object]) -> float:
    """How long an action takes in seconds, the device's part of it included."""
    started = time.perf_counter()
    action()
    synchronize()
    return time.perf_counter() - started


def synchronize() -> None:
    """Wait until the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    elif torch.backends.mps.is_available():
        torch.mps.synchronize()


def peak_flops(machine: Machine, size: int = 0) -> float:
    """Floating point operations per second of a large matrix product: what the device can do."""
    size = size or (1024 if machine.device.type == "cpu" else 4096)
    a = torch.ones(size, size, device=machine.device, dtype=machine.dtype)
    product = partial(torch.mm, a, a)
    product()
    return 2.0 * size**3 / min(timed(product) for _ in range(3))
