"""Several processes that train as one, as `torchrun` starts them; or this process alone.

The first process leads: it runs every verb as usual and writes all files. The others wait for it to
call them to a stage that trains, and end when it has no more.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, NoReturn

PATIENCE = timedelta(days=7)  # others wait while the first one encodes a large corpus


@dataclass(frozen=True)
class World:
    """Which process this is, of how many; `local` counts those on the same machine."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def total(self, *values: float) -> list[float]:
        """The sums of some numbers over all processes."""
        if self.size == 1:
            return list(values)
        import torch
        from torch import distributed

        summed = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(summed)
        return summed.tolist()

    def agreed(self, value: Any) -> Any:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        from torch import distributed

        told = [value]
        distributed.broadcast_object_list(told, src=0)
        return told[0]


ALONE = World()


@cache
def join() -> World:
    """The processes that were started together; the first call waits until all are there."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    import torch
    from torch import distributed

    local = int(os.environ.get("LOCAL_RANK", "0"))
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(min(local, torch.cuda.device_count() - 1))
        backend = "cpu:gloo,cuda:nccl"
    store, rank, size = _meeting()
    distributed.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=PATIENCE
    )
    return World(rank, size, local)


def _meeting() -> tuple[Any, int, int]:
    """Where processes find one another, this one's number there, and how many they are.

    With `--max-restarts`, torchrun starts them again with the addresses of those that ended still
    there (github.com/pytorch/pytorch/issues/135712), so on one machine each start has names of its
    own. Machines count their starts differently.
    """
    from torch.distributed import PrefixStore, rendezvous  # type: ignore[attr-defined]

    store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
    start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        store = PrefixStore(f"start {start}", store)
    return store, rank, size


def leave() -> None:
    """End the work together: the first process lets the others go."""
    if join().size > 1:
        from torch import distributed

        if join().leads:
            join().agreed(None)
        distributed.barrier()
        distributed.destroy_process_group()


def end(code: int) -> NoReturn:
    """End this process; one of several at once, since threads of torch's may abort a slow exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        os._exit(code)
    sys.exit(code)
