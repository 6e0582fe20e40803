"""What several processes tell one another: gradients, and that one of them failed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests_support import fit_settings
from torch import distributed, nn

from pipeline.common.errors import DataError
from pipeline.common.processes import World
from pipeline.common.screen import Screen
from pipeline.training import compiled, exchange, held_up
from pipeline.training.batches import Blocks
from pipeline.training.checkpoint import Folder
from pipeline.training.exchange import Exchange
from pipeline.training.hardware import autotune, memory
from pipeline.training.hardware.device import Machine
from pipeline.training.held_up import HeldUp, Run
from pipeline.training.progress import Progress
from pipeline.training.resume import Beginning
from pipeline.training.run_checkpoints import Keeping
from pipeline.training.schedule import Schedule
from pipeline.training.step import Samples, Stepper
from pipeline.workspace.settings import Train
from transformer.config import ModelConfig
from transformer.decoder import Decoder

CPU = torch.device("cpu")
RUN = Run("k", memory.place(CPU), 2)


@dataclass(frozen=True)
class Beside(World):
    """This process and one that does as it does, until it fails; what they told each other."""

    size: int = 2
    fails_at: int = -1  # the number of a sum
    short: int = 0  # whether for want of memory
    told: list[tuple[float, ...]] = field(default_factory=list)

    def total(self, *values: float) -> list[float]:
        self.told.append(values)
        if len(self.told) - 1 != self.fails_at:
            return [2.0 * value for value in values]
        if len(values) == 1:
            return [*values]
        *sums, failures, shortages = values
        return [*(2.0 * value for value in sums), failures + 1, shortages + self.short]

    def agreed(self, value: object) -> object:
        return value


READING, PASS, UPDATE = 1, 2, 3  # the sums of a step, after that of laying out


@pytest.fixture
def process_group(tmp_path) -> Iterator[None]:
    """Of one process, whose sums are its own."""
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5), nn.Linear(5, 2))


def stepper(world: World) -> Stepper:
    config = ModelConfig(vocab_size=20, block=8, width=16, layers=1, heads=2, dropout=0.0)
    settings = fit_settings(train=Train(device="cpu", threads=1, sharding="never"))
    data = Blocks(torch.arange(20).repeat(40).numpy(), 8, "random", 1)
    decoder = Decoder(config, torch.Generator().manual_seed(1))
    return Stepper(decoder, data, settings, Machine(CPU), world)


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("small", [1, 12, 100])
@pytest.mark.parametrize("passes", [1, 3])
def test_gradients_are_those_without_it(monkeypatch, small, passes):
    monkeypatch.setattr(exchange, "SMALL", small)
    alone, exchanged = model(), model()
    exchanging = Exchange(exchanged)
    for step in range(2):
        alone.zero_grad()
        exchanged.zero_grad()
        for number in range(passes):
            x = torch.full((6, 3), number + step / 2)
            alone(x).square().sum().backward()
            if number == passes - 1:
                exchanging.begin()
            exchanged(x).square().sum().backward()
        exchanging.end()
        for one, other in zip(alone.parameters(), exchanged.parameters(), strict=True):
            assert torch.equal(one.grad, other.grad)


@pytest.mark.usefixtures("process_group")
def test_each_gradient_goes_as_soon_as_those_before_it_are_there(monkeypatch):
    monkeypatch.setattr(exchange, "SMALL", 1)
    sent, layers = [], model()
    layers[0].register_full_backward_hook(lambda *_: sent.append(len(exchanging._sent)))
    exchanging = Exchange(layers)
    exchanging.begin()
    layers(torch.ones(1, 3, requires_grad=True)).sum().backward()
    assert sent[0] >= 4  # those of the two later layers
    exchanging.end()


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("begun", [False, True])
def test_after_a_pass_that_failed_every_gradient_is_exchanged_all_the_same(monkeypatch, begun):
    monkeypatch.setattr(exchange, "SMALL", 12)
    layers, summed = model(), []
    all_reduce = distributed.all_reduce
    monkeypatch.setattr(
        exchange.distributed,
        "all_reduce",
        lambda tensor, **kw: (summed.append(tensor.numel()), all_reduce(tensor, **kw))[1],
    )
    exchanging = Exchange(layers)
    for fails in (False, True):
        layers.zero_grad()
        if begun or not fails:
            exchanging.begin()
        out = layers[2](layers[1](layers[0](torch.ones(1, 3))))
        if fails:
            out.register_hook(lambda _: (_ for _ in ()).throw(MemoryError()))
        try:
            layers[3](out).sum().backward()
        except MemoryError:
            assert fails
        exchanging.end()
    assert summed[: len(summed) // 2] == summed[len(summed) // 2 :]
    assert sum(summed) == 2 * sum(p.numel() for p in layers.parameters())
    assert not any(p._post_accumulate_grad_hooks for p in layers.parameters())


@pytest.mark.usefixtures("process_group")
def test_a_model_that_was_trained_is_not_held():
    layers = model()
    exchanging = Exchange(layers)
    exchanging.begin()
    layers(torch.ones(1, 3)).sum().backward()
    exchanging.end()
    held = weakref.ref(layers[0].weight)
    del layers, exchanging
    gc.collect()
    assert held() is None


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("when", [READING, PASS, UPDATE])
@pytest.mark.parametrize(
    ("short", "error", "words"),
    [(1, MemoryError, "ran out in another process"), (0, DataError, "its own line says why")],
)
def test_what_fails_in_another_process_is_an_error_here(when, short, error, words):
    here = stepper(Beside(fails_at=when, short=short))
    before = [p.detach().clone() for p in here.model.parameters()]
    with pytest.raises(error, match=words):
        here.take(Samples(0, 2, 1), 1, 1e-3)
    assert here.torn == (when == UPDATE)
    changed = not all(map(torch.equal, before, here.model.parameters()))
    assert changed == here.torn


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("where", ["_own", "_pass", "_update"])
@pytest.mark.parametrize(("error", "tells"), [(MemoryError(), (1, 1)), (KeyError(), (1, 0))])
def test_what_fails_here_is_told_to_the_others_first(monkeypatch, where, error, tells):
    def fails(*_: object) -> None:
        raise error

    here = stepper(Beside())
    monkeypatch.setattr(Stepper, where, fails)
    with pytest.raises(type(error)):
        here.take(Samples(0, 2, 1), 1, 1e-3)
    assert here.world.told[-1][-2:] == tells


@pytest.mark.usefixtures("process_group")
def test_another_process_that_failed_for_good_counts_more_than_memory_here(monkeypatch):
    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Stepper, "_pass", fails)
    with pytest.raises(DataError, match="its own line says why"):
        stepper(Beside(fails_at=PASS)).take(Samples(0, 2, 1), 1, 1e-3)


@pytest.mark.usefixtures("process_group")
def test_memory_that_runs_out_within_the_exchange_holds_the_others_up(monkeypatch):
    def full(parameter: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("no room")

    here = stepper(Beside())
    monkeypatch.setattr(exchange, "_gradient", full)
    with pytest.raises(HeldUp, match="at most 2 rows"):
        here.take(Samples(0, 4, 1), 1, 1e-3)


def test_where_another_process_cannot_compile_none_does(monkeypatch):
    monkeypatch.setattr(compiled, "obstacle", lambda _: None)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    decoder = stepper(World()).model
    assert compiled.turn_on(decoder, 4, 8, lambda: None, Beside())
    assert compiled.is_on(decoder)
    assert not compiled.turn_on(decoder, 4, 8, lambda: None, Beside(fails_at=0))
    assert not compiled.is_on(decoder)


def test_another_checkpoint_than_the_other_process_read_is_refused(tmp_path, console):
    def keeping(world: World) -> Keeping:
        parts = SimpleNamespace(sharded=False)
        return Keeping(tmp_path, RUN, fit_settings(), parts, None, Screen(console), world)

    folder = Folder(tmp_path)
    folder.write(3, {}, {"key": "another", "step": 3})
    assert keeping(Beside()).found(folder) is None
    with pytest.raises(DataError, match="different checkpoints"):
        keeping(Beside(fails_at=0)).found(folder)


@pytest.mark.parametrize(("fits", "rows"), [(4, 32), (3, 2)])
def test_a_run_keeps_its_rows_where_more_processes_take_fewer(monkeypatch, fits, rows):
    monkeypatch.setattr(
        autotune, "fitting", lambda stepper, wanted, most: autotune.evenly(wanted, fits)
    )
    at = Progress(
        "k", 1.0, 0.0, 10, Schedule.of(10), 1,
        way={"precision": "float32", "threads": 1, "recompute": False},
        compiled=False, update=32, rows=32, place="here",
    )  # fmt: skip
    beginning = Beginning(
        fit_settings(),
        SimpleNamespace(machine=Machine(CPU), model=nn.Module(), use=lambda machine: None),
        SimpleNamespace(here=Run("k", "here", 8), most=lambda rows: rows),
        *(None,) * 3,
        World(size=8),
        0.0,
    )
    assert beginning._fitted(at).rows == rows


def test_notes_hold_for_the_run_that_they_are_of_until_it_ends(tmp_path: Path):
    for rank, rows in enumerate((8, 4)):
        held_up.leave_note(tmp_path, RUN, rank, HeldUp(rows))
    (tmp_path / f"{held_up.NAME}7.json").write_text("", encoding="utf-8")
    assert held_up.most(tmp_path, RUN, 64) == 2
    assert held_up.most(tmp_path, RUN, 1) == 1
    for other in (Run("other", RUN.place, 2), Run("k", "a card", 2), Run("k", RUN.place, 4)):
        assert held_up.most(tmp_path, other, 64) == 64
    held_up.leave_note(tmp_path, RUN, 0, HeldUp(1))
    assert held_up.most(tmp_path, RUN, 64) == 0
    held_up.forget(tmp_path)
    assert held_up.most(tmp_path, RUN, 64) == 64
