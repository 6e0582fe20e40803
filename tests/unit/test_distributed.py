"""Copies of a model in several processes: gradients are averaged once a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from tests_support import fit_settings
from torch import distributed

from pipeline.common.errors import DataError
from pipeline.common.processes import ALONE, World
from pipeline.common.screen import Screen
from pipeline.training.batches import Batch, Blocks
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.schedule import Schedule
from pipeline.training.state import Budget, ComputePlan, TrainState
from pipeline.training.step import Stepper
from pipeline.workspace.settings import Train
from transformer.config import ModelConfig
from transformer.decoder import Decoder

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Two(World):
    """A process of two, whose other one does as it does, or reads another checkpoint."""

    size: int = 2
    agrees: bool = True

    def all_reduce_sum(self, *values: float) -> list[float]:
        return [2 * value if self.agrees else value for value in values]


class PaddingAtLast(Blocks):
    """Blocks, of which those from the ninth on have nothing to learn."""

    def batch(self, number: int, size: int, late: bool = False) -> Batch:
        x, y = super().batch(number, size, late)
        return x, (torch.full_like(y, -1) if number >= 8 else y)


@pytest.fixture
def process_group(tmp_path) -> Iterator[None]:
    """Of one process, whose averages are its own."""
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def stepper(world: World) -> Stepper:
    config = ModelConfig(vocab_size=20, block=8, width=16, layers=2, heads=2, dropout=0.0)
    settings = fit_settings(train=Train(device="cpu", threads=1, sharding="never"))
    data = PaddingAtLast(torch.arange(20).repeat(40).numpy(), 8, "random", 1)
    decoder = Decoder(config, torch.Generator().manual_seed(1))
    return Stepper(decoder, data, settings, CPU, ComputePlan(4, 3), world)


@pytest.mark.usefixtures("process_group")
def test_gradients_of_several_micro_batches_are_exchanged_at_the_last():
    alone, two = stepper(ALONE), stepper(Two())
    exchanges = []
    two.replica.register_comm_hook(
        None, lambda _, bucket: (exchanges.append(1), done(bucket.buffer()))[1]
    )
    for batches in ([0, 4, 20], [20, 24, 28]):  # the last of them have no targets
        for each in (alone, two):
            each.model.zero_grad()
            for number, first in enumerate(batches):
                each.backward(each.data.batch(first, 4), 0.5, sync=number == 2)
        for one, other in zip(alone.model.parameters(), two.model.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad)
    assert len(exchanges) <= 4  # a few buckets, twice


def done(tensor: torch.Tensor) -> torch.futures.Future[torch.Tensor]:
    future: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    future.set_result(tensor)
    return future


@pytest.mark.usefixtures("process_group")
def test_a_dry_run_without_exchange_may_fail_and_the_next_step_works():
    two = stepper(Two())
    handle = two.model.blocks[0].register_forward_hook(fail_backward)
    with pytest.raises(MemoryError):
        two.dry_run(4, sync=False)
    handle.remove()
    before = [p.detach().clone() for p in two.model.parameters()]
    two.dry_run(4, sync=False)
    two.dry_run(4)
    assert all(map(torch.equal, before, two.model.parameters()))
    two.step(0, 1, 1e-3)
    assert not all(map(torch.equal, before, two.model.parameters()))


def fail_backward(block: object, given: object, output: torch.Tensor) -> None:
    output.register_hook(run_out)


def run_out(_: object) -> None:
    raise MemoryError


def test_another_checkpoint_than_the_other_process_read_is_refused(tmp_path, console):
    state = TrainState("another", Budget(9, 1.0), Schedule.of(9), 1, 4, ComputePlan(4), step=3)
    Checkpoints(tmp_path, "another", Screen(console)).save({}, state)
    assert Checkpoints(tmp_path, "k", Screen(console), world=Two()).last() is None
    with pytest.raises(DataError, match="different checkpoints"):
        Checkpoints(tmp_path, "k", Screen(console), world=Two(agrees=False)).last()
