"""How much memory there is, how much a step takes, and the largest batch that fits."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from pipeline.common.errors import ran_out
from pipeline.common.processes import World

SHARE = 0.9  # of the memory may be used, …
SHARE_OF_SEVERAL = 0.8  # … by several processes, which cannot go on when it runs out in one
CGROUP = Path("/sys/fs/cgroup")  # a container's own limit, where there is one


def used(device: torch.device) -> int:
    """Bytes that this process holds now."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    return int(psutil.Process().memory_info().rss)


def total(device: torch.device) -> int:
    """Bytes that the device has."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return min(psutil.virtual_memory().total, _container()[0])


def processes_on(device: torch.device) -> int:
    """How many processes of a training run share the device's memory: a GPU has one."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if device.type == "cpu" else 1


def limit(device: torch.device, share: float = SHARE) -> int:
    """Bytes that this process may hold: a share of its own and of its part of what is free."""
    mine = used(device)
    if device.type == "cuda":
        return int(share * (torch.cuda.mem_get_info(device)[0] + mine))
    if device.type == "mps":
        return int(share * total(device))
    container_limit, container_use = _container()
    free = min(psutil.virtual_memory().available, container_limit - container_use)
    return int(share * (free / processes_on(device) + mine))


def _container() -> tuple[int, int]:
    """Limit and use, in bytes, of the container this runs in; no limit counts as 2⁶².

    Cached file pages, which could be dropped at once, do not count as use.
    """
    try:
        limit, current = (
            int((CGROUP / name).read_text(encoding="ascii"))
            for name in ("memory.max", "memory.current")
        )
        rows = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        statistics = dict(row.split() for row in rows)
        cached = int(statistics["inactive_file"]) + int(statistics["active_file"])
        return limit, current - cached
    except (OSError, ValueError, KeyError):
        return 1 << 62, 0


def device_name(device: torch.device) -> str:
    """The device's kind and memory: on another one, other batches fit."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{name}, {total(device) / (1 << 30):.0f} GiB"


@contextmanager
def peak(device: torch.device) -> Iterator[Callable[[], int]]:
    """Around some work: a function that returns the most bytes held since it began."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: torch.cuda.max_memory_allocated(device)
        return
    highest, done = [used(device)], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            highest[0] = max(highest[0], used(device))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: max(highest[0], used(device))
    finally:
        done.set()
        watcher.join()


def largest_batch(
    step: Callable[[int], None],
    max_rows: int,
    device: torch.device,
    world: World,
    fails_alone: bool = True,
) -> int:
    """The largest of 1, 2, 4, … and `max_rows` rows at which a step stays within the memory.

    0: not even one. A size is tried only when the smaller ones say that it should fit: a
    processor's memory is not refused, it fills up until the system kills a program. Where one row
    says that `max_rows` fit by far, they are tried next. All processes try the same sizes. Memory
    that runs out in a step ends the search, where a step `fails_alone`; else the other processes
    wait for it, and it is an error.
    """
    allowed = limit(device, SHARE if world.size == 1 else SHARE_OF_SEVERAL)
    known = [(0, used(device))]  # rows, bytes
    rows, jump = 1, True
    while rows:
        with peak(device) as held:
            try:
                step(rows)
                fits = held() <= allowed
            except Exception as error:
                if not (fails_alone and ran_out(error)):
                    raise
                fits = False
            if not any(world.all_reduce_sum(not fits)):
                known.append((rows, held()))
            elif rows <= 2 * known[-1][0] or rows == 1:
                break
            else:
                jump = False
        rows = world.broadcast(_next_rows(max_rows, allowed, jump, *known[-2:]))
    return known[-1][0]


def _next_rows(
    max_rows: int, allowed: int, jump: bool, before: tuple[int, int], last: tuple[int, int]
) -> int:
    """The rows to try next, by the line through the bytes at the last two sizes; 0: no more."""
    rows, held = last
    slope = (held - before[1]) / (rows - before[0])
    if rows == max_rows:
        return 0
    if jump and slope > 0 and held + 2 * slope * (max_rows - rows) <= allowed:
        return max_rows
    doubled = min(2 * rows, max_rows)
    return doubled if held + slope * (doubled - rows) <= allowed else 0


def release(device: torch.device) -> None:
    """Give back the memory that torch keeps for later, after it ran out."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
