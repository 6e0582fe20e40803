"""How much memory there is, how much a pass takes, and the largest one that fits."""

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

SHARE = 0.9  # of the memory may be used
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


def sharing(device: torch.device) -> int:
    """How many processes that train together share the device's memory: a card has one."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if device.type == "cpu" else 1


def limit(device: torch.device) -> int:
    """Bytes that this process may hold: 90 % of its own and of its share of what is free."""
    own = used(device)
    if device.type == "cuda":
        return int(SHARE * (torch.cuda.mem_get_info(device)[0] + own))
    if device.type == "mps":
        return int(SHARE * total(device))
    most, held = _container()
    free = min(psutil.virtual_memory().available, most - held)
    return int(SHARE * (free / sharing(device) + own))


def _container() -> tuple[int, int]:
    """Limit and use of the container this runs in; without one, more than any machine has.

    Pages of files that could be dropped at once are no use.
    """
    try:
        most, held = (
            int((CGROUP / name).read_text(encoding="ascii"))
            for name in ("memory.max", "memory.current")
        )
        rows = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        facts = dict(row.split() for row in rows)
        return most, held - int(facts["inactive_file"]) - int(facts["active_file"])
    except (OSError, ValueError, KeyError):
        return 1 << 62, 0


def place(device: torch.device) -> str:
    """The device by its kind and memory: where they are others, other sizes fit."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{name}, {total(device) / (1 << 30):.0f} GiB"


@contextmanager
def peak(device: torch.device) -> Iterator[Callable[[], int]]:
    """Around some work: a function that says the most bytes held since it began."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: torch.cuda.max_memory_allocated(device)
        return
    seen, over = [used(device)], threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            seen[0] = max(seen[0], used(device))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: max(seen[0], used(device))
    finally:
        over.set()
        watcher.join()


def largest(work: Callable[[int], None], most: int, device: torch.device, world: World) -> int:
    """The largest of 1, 2, 4, … and `most` rows at which `work` stays within the memory; 0: none.

    `work` makes one pass over so many rows, and fails in all processes or in none. A size is tried
    only when the smaller ones say that it should fit: a processor's memory is not refused, it fills
    up until the system ends a program. All processes of the `world` try the same sizes, and the
    first one's memory decides.
    """
    allowed = limit(device)
    known = [(0, used(device))]  # rows, bytes
    for rows in _doubling(most):
        if world.agreed(len(known) > 1 and _predicted(rows, *known[-2:]) > allowed):
            break
        with peak(device) as held:
            try:
                work(rows)
            except Exception as error:
                if not ran_out(error):
                    raise
                break
            if world.agreed(held() > allowed):
                break
            known.append((rows, held()))
    return known[-1][0]


def _doubling(most: int) -> list[int]:
    return [*(1 << n for n in range((most - 1).bit_length())), most]


def _predicted(rows: int, before: tuple[int, int], last: tuple[int, int]) -> float:
    """Bytes at so many rows, on the line through two known points."""
    slope = (last[1] - before[1]) / (last[0] - before[0])
    return last[1] + slope * (rows - last[0])


def settle(device: torch.device) -> None:
    """Give back what torch keeps for later, after memory ran out."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
