"""Several processes that train as one, as `torchrun` starts them; or this process alone.

The first process leads: it runs every verb as usual and writes all files. The others wait until it
calls them to a stage that trains, and end with it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, NoReturn, TypeVar

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

T = TypeVar("T")

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

    def all_reduce_sum(self, *values: float) -> list[float]:
        """The sums of some numbers over all processes."""
        if self.size == 1:
            return list(values)
        import torch
        from torch import distributed

        summed = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(summed)
        return summed.tolist()

    def broadcast(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        from torch import distributed

        shared = [value]
        distributed.broadcast_object_list(shared, src=0)
        return shared[0]


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
    store, rank, size = _rendezvous()
    distributed.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=PATIENCE
    )
    return World(rank, size, local)


def _rendezvous() -> tuple[Store, int, int]:
    """The store through which processes find one another, this one's rank, and their number.

    With `--max-restarts`, torchrun starts them again with the addresses of those that ended still
    in the store (github.com/pytorch/pytorch/issues/135712), so on one machine each start has keys
    of its own. Several machines count their starts differently.
    """
    from torch.distributed import PrefixStore, rendezvous  # type: ignore[attr-defined]

    store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
    start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        store = PrefixStore(f"start {start}", store)
    return store, rank, size


def leave() -> None:
    """End together: the first process lets the others go."""
    if join().size > 1:
        from torch import distributed

        if join().leads:
            join().broadcast(None)
        distributed.barrier()
        distributed.destroy_process_group()


def end(code: int) -> NoReturn:
    """End this process; one of several without delay, since threads of torch may abort the exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        os._exit(code)
    sys.exit(code)
