"""The training loop: it learns, resumes exactly, extends, stops early, and saves on Ctrl-C."""

from __future__ import annotations

import io
import json
import math
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from tests_support import fit_settings

from pipeline.common.errors import SettingsError, TrainingDiverged, WorkspaceError
from pipeline.common.processes import ALONE
from pipeline.common.screen import Screen
from pipeline.training.batches import Blocks, Data
from pipeline.training.checkpoints import checkpoint_files
from pipeline.training.hardware import autotune, memory
from pipeline.training.loop import fit
from pipeline.training.optimizer import Muon
from pipeline.training.schedule import SLACK, Schedule
from pipeline.training.state import ComputePlan, Parts, TimeSpent, TrainState
from pipeline.training.step import Stepper
from pipeline.training.validation import Loss, measure, windows
from pipeline.workspace.settings import Train
from transformer.config import ModelConfig
from transformer.decoder import Decoder

IDS = np.tile(np.arange(20), 40).astype(np.uint16)
TRAIN = Train(device="cpu", precision="float32", threads=1, evaluate_steps=10, save_minutes=60)


class Trial:
    """A small model on an easy text, and everything it did."""

    def __init__(self, folder: Path, console: Console) -> None:
        torch.manual_seed(1)
        config = ModelConfig(vocab_size=20, block=8, width=16, layers=1, heads=2, dropout=0.1)
        self.decoder = Decoder(config)
        self.folder, self.screen = folder, Screen(console)
        self.kept: list[int] = []
        self.stop_at: int | None = None
        self.losses: list[float] | None = None
        self.data: Data = Blocks(IDS, 8, "random", 1)
        folder.mkdir(exist_ok=True)

    def evaluate(self, model: torch.nn.Module) -> Loss:
        if self.losses is not None:
            return Loss(self.losses.pop(0), 1, 1)
        return measure(model, windows(IDS[:100], 8), 99)

    def sample(self) -> str:
        if self.stop_at is not None and len(self.log()) >= self.stop_at:
            signal.raise_signal(signal.SIGINT)
        return "sample"

    def log(self) -> list[dict[str, float]]:
        text = (self.folder / "log.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def run(self, steps: int, started: float | None = None, **changes: object) -> TrainState:
        settings = fit_settings(**{"epochs": steps * 4 / 99, "train": TRAIN, **changes})
        parts = Parts(
            model=self.decoder,
            device=torch.device("cpu"),
            data=self.data,
            evaluate=self.evaluate,
            keep=lambda model: self.kept.append(len(self.log())),
            sample=self.sample,
        )
        return fit(parts, settings, self.folder, self.screen, started=started)

    def weights(self) -> list[torch.Tensor]:
        return [p.detach().clone() for p in self.decoder.parameters()]


@pytest.fixture
def trial(tmp_path, console, monkeypatch):
    monkeypatch.setattr("pipeline.training.hardware.device.PROBE_SECONDS", 0.01)
    return lambda name="run": Trial(tmp_path / name, console)


def without_times(log):
    return [{k: v for k, v in r.items() if not k.endswith(("seconds", "second"))} for r in log]


def test_it_learns_and_logs_what_the_contract_names(trial):
    run = trial()
    end = run.run(60)
    log = run.log()
    assert [row["step"] for row in log] == [10, 20, 30, 40, 50, 60]
    assert set(log[0]) == {
        "step", "tokens", "seconds", "lr", "train_loss", "val_loss", "val_bits_per_byte",
        "tokens_per_second",
    }  # fmt: skip
    assert log[-1]["tokens"] == 60 * 4 * 8
    assert log[-1]["val_loss"] < 0.7 * log[0]["val_loss"]
    assert end.best.bits_per_byte == pytest.approx(
        min(r["val_bits_per_byte"] for r in log), abs=1e-4
    )


def test_a_stopped_run_ends_like_one_that_never_stopped(trial, unbroken):
    parts = trial("parts")
    for stop_at in (1, 2):
        parts.stop_at = stop_at
        with pytest.raises(KeyboardInterrupt):
            parts.run(30)
        parts = trial("parts")  # a new process: new weights, nothing remembered
    parts.run(30)
    assert without_times(parts.log()) == without_times(unbroken.log())
    assert all(map(torch.equal, parts.weights(), unbroken.weights()))


def test_running_statistics_go_on_too(trial):
    """BatchNorm's are no parameters, and must not count what was only timed either."""
    config = ModelConfig(
        vocab_size=20, block=8, width=16, layers=1, heads=2, norm="batch", laboratory=True
    )

    def batch(name):
        run = trial(name)
        run.decoder = Decoder(config, torch.Generator().manual_seed(1))
        return run

    whole, parts, again = batch("whole"), batch("parts"), batch("parts")
    whole.run(40)
    parts.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        parts.run(40)
    again.run(40)
    ends = [run.decoder.state_dict() for run in (whole, again)]
    assert any("running" in name for name in ends[0])
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_a_larger_budget_goes_on_from_before_the_decay(trial):
    small = trial()
    small.run(50)
    before = small.log()
    larger = trial()
    end = larger.run(100)
    log = larger.log()
    assert end.step == 100
    assert log[:2] == before[:2]  # steps 10 and 20 were not taken again
    assert [row["lr"] for row in log[1:5]] == [3e-3] * 4  # decay moved from step 25 to 50


def test_a_larger_budget_never_replaces_the_best_by_a_worse_one(trial):
    small = trial()
    small.losses = [9.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    end = small.run(50)
    assert end.best.step == 50
    larger = trial()
    larger.losses = [4.5, 4.0, 3.5, 3.0, 2.5, 0.5, 0.7, 0.9]  # from step 30, before the decay, on
    end = larger.run(100)
    assert larger.kept == [7]  # only what is better than the first run's end
    assert (end.best.bits_per_byte, end.best.step) == (pytest.approx(0.5 / math.log(2)), 80)


def test_going_back_keeps_what_is_best(trial):
    run = trial()
    run.losses = [9.0, 1.0] + [5.0] * 20
    spoiled = []

    def spoil() -> str:
        if len(run.log()) == 2 and not spoiled:
            spoiled.append(True)
            scales(run.decoder, math.nan)
        return ""

    run.sample = spoil
    end = run.run(40)  # its only checkpoint is of step 0
    assert end.recovery.setbacks == 1
    assert (end.best.bits_per_byte, end.best.step) == (pytest.approx(1 / math.log(2)), 10)


def test_the_same_budget_again_trains_nothing_more(trial):
    trial().run(20)
    again = trial()
    again.run(20)
    assert len(again.log()) == 2


def test_a_model_that_only_gets_worse_is_not_kept(trial):
    run = trial()
    run.losses = [1.0] + [2.0] * 10
    end = run.run(30)
    assert run.kept == [0]
    assert (end.best.bits_per_byte, end.best.step) == (pytest.approx(1 / math.log(2)), 0)


def test_a_smaller_budget_later_changes_nothing(trial):
    long = trial()
    long.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        long.run(50)
    assert trial().run(20).step == 50


def test_another_key_starts_over(trial):
    trial().run(20)
    other = trial()
    assert other.run(10, key="other").step == 10
    assert len(other.log()) == 1


def test_when_validation_stalls_it_decays_and_then_stops(trial):
    run = trial()
    run.losses = [5.0, 4.0, 3.0] + [3.5] * 20
    end = run.run(400, patience=3)
    assert end.best.step == 20
    assert end.step == 80  # stalled at 50, decayed from there, stalled again at 80
    assert run.kept == [0, 0, 1]  # before training, and at steps 10 and 20


def test_accumulation_is_a_larger_batch(trial):
    losses = []
    for name, batch, accumulation in (("one", 4, 1), ("two", 2, 2)):
        run = trial(name)
        for module in run.decoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # which units it drops depends on the shape of the batch
        every_step = replace(TRAIN, evaluate_steps=1)
        run.run(5, batch=batch, accumulation=accumulation, train=every_step)
        losses.append([row["train_loss"] for row in run.log()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.fixture
def clock(monkeypatch):
    """Steps take `clock.timed` seconds when they are timed, and then `clock.step`."""
    made = SimpleNamespace(now=0.0, timed=0.1, step=0.1 * SLACK, monotonic=lambda: made.now)
    monkeypatch.setattr(autotune, "seconds", lambda *_: made.timed)
    monkeypatch.setattr("pipeline.training.loop.time", made)
    monkeypatch.setattr("pipeline.training.resume.time", made)
    step = Stepper.step

    def slow(*args):
        made.now += made.step
        return step(*args)

    monkeypatch.setattr(Stepper, "step", slow)
    return made


def test_minutes_become_steps_by_what_a_step_takes(trial, clock):
    end = trial().run(1, epochs=0.0, minutes=0.1)
    assert 50 < end.budget.steps == end.step <= 60


@pytest.mark.parametrize(("times", "least", "most"), [(0.4, 125, 160), (1.5, 30, 40), (4, 27, 31)])
def test_a_wrong_timing_is_corrected_before_the_decay(trial, clock, times, least, most):
    """Of 54 steps planned; where half of them took all the time, a short decay is left."""
    clock.step *= times
    end = trial().run(1, epochs=0.0, minutes=0.1)
    assert least <= end.budget.steps == end.step <= most
    assert end.schedule.rate(end.step - 1) < 0.5


@pytest.mark.parametrize("times", [0.5, 1, 1.2])
def test_what_lies_between_the_steps_is_of_the_minutes_too(trial, clock, times):
    """A sample takes as long as four steps, which nobody timed before."""
    clock.timed, clock.step = 0.4, 0.4 * SLACK * times
    run = trial()

    def sample():
        clock.now += 1.6
        return ""

    run.sample = sample
    run.run(1, epochs=0.0, minutes=1.0)
    assert clock.now == pytest.approx(60, abs=3)


@pytest.mark.parametrize("every", [20, 10_000])
def test_the_start_and_evaluations_still_to_come_are_of_the_minutes_too(trial, clock, every):
    clock.timed, clock.step = 0.2, 0.2 * SLACK
    run = trial()
    evaluate = run.evaluate

    def slow(model):
        clock.now += 3.0
        return evaluate(model)

    run.evaluate = slow
    train = replace(TRAIN, evaluate_steps=every)
    run.run(1, epochs=0.0, minutes=1.0, train=train, started=-10.0)
    assert clock.now + 10 == pytest.approx(60, abs=4)


def test_a_corrected_run_that_is_killed_ends_like_one_that_never_was(trial, clock):
    clock.step *= 0.5
    train = replace(TRAIN, save_steps=7)
    whole = trial("whole")
    end = whole.run(1, epochs=0.0, minutes=0.1, train=train)
    killed = trial("killed")
    killed.sample = lambda: (_ for _ in ()).throw(SystemExit) if len(killed.log()) == 5 else ""
    with pytest.raises(SystemExit):
        killed.run(1, epochs=0.0, minutes=0.1, train=train)
    again = trial("killed")
    assert again.run(1, epochs=0.0, minutes=0.1, train=train).step == end.step
    assert without_times(again.log()) == without_times(whole.log())
    assert all(map(torch.equal, again.weights(), whole.weights()))


def test_passes_that_are_enough_stay_enough_when_steps_take_longer(trial, clock):
    """Of ten minutes two passes need a few seconds, at whatever speed; a kill changes nothing."""
    clock.step *= 2
    budget = {"epochs": 0.0, "minutes": 10.0, "max_epochs": 2.0}
    end = trial().run(1, **budget)
    assert end.step == math.ceil(2 * 99 / 4)
    assert trial().run(1, **budget).step == end.step


def test_minutes_that_end_before_the_passes_do_stay_ended(trial, clock):
    """Slower than thought, so that the passes no longer fit; the same command trains no more."""
    clock.step *= 3
    budget = {"epochs": 0.0, "minutes": 0.1, "max_epochs": 2.0}
    end = trial().run(1, **budget)
    assert 20 < end.step < math.ceil(2 * 99 / 4)
    assert trial().run(1, **budget).step == end.step


def test_a_run_by_minutes_that_goes_on_by_passes_is_as_long_as_these(trial, clock):
    end = trial().run(1, epochs=0.0, minutes=0.1)
    clock.step *= 0.2
    assert trial().run(3 * end.step).step == pytest.approx(3 * end.step, abs=1)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run of 30 steps that saves every five."""
    console = Console(file=io.StringIO(), width=160)
    run = Trial(tmp_path_factory.mktemp("runs") / "unbroken", console)
    run.run(30, train=replace(TRAIN, save_steps=5))
    return run


@pytest.mark.parametrize("steps", [(3,), (1, 2, 17), (11, 12, 29)])
def test_a_run_killed_anywhere_ends_like_one_that_never_was(trial, unbroken, monkeypatch, steps):
    train = replace(TRAIN, save_steps=5)
    take = Stepper.step
    for step in steps:

        def die(self, first, *args, step=step):
            if first == 4 * step:
                raise SystemExit
            return take(self, first, *args)

        monkeypatch.setattr(Stepper, "step", die)
        with pytest.raises(SystemExit):
            trial("killed").run(30, train=train)
    monkeypatch.setattr(Stepper, "step", take)
    last = trial("killed")
    last.run(30, train=train)
    assert without_times(last.log()) == without_times(unbroken.log())
    assert all(map(torch.equal, last.weights(), unbroken.weights()))


def test_the_time_of_steps_that_were_gone_back_from_is_spent():
    before = TimeSpent(step_seconds=3.0, startup_seconds=1.0, overhead_seconds=1.0)
    after = TimeSpent(step_seconds=7.0, startup_seconds=1.0, overhead_seconds=2.0)
    assert before.with_lost_time(after) == replace(before, startup_seconds=6.0)


def scales(decoder, number):
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(number)


@pytest.mark.parametrize(("number", "reason"), [(math.nan, "the loss became nan"), (30.0, "rose")])
def test_a_run_that_goes_astray_goes_back_with_a_lower_rate(trial, number, reason):
    run = trial()
    spoiled = []

    def spoil() -> str:
        if len(run.log()) == 6 and not spoiled:
            spoiled.append(True)
            scales(run.decoder, number)
        return ""

    run.sample = spoil
    end = run.run(90, train=replace(TRAIN, save_steps=25))
    assert end.step == 90
    assert end.recovery.setbacks >= 1
    assert [row["step"] for row in run.log()] == list(range(10, 91, 10))
    assert run.log()[5]["lr"] < run.log()[0]["lr"]
    assert run.log()[-1]["val_loss"] < run.log()[0]["val_loss"]
    assert reason in run.screen.console.file.getvalue()


def test_when_memory_runs_out_passes_become_smaller_and_updates_stay(trial, monkeypatch):
    step = Stepper.step

    def tight(self, first, *args):
        if first >= 40 and self.plan.rows > 1:
            raise MemoryError
        return step(self, first, *args)

    losses = []
    for name in ("enough", "little"):
        run = trial(name)
        if name == "little":
            monkeypatch.setattr(Stepper, "step", tight)
        for module in run.decoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # which units it drops depends on the shape of the batch
        end = run.run(20, train=replace(TRAIN, evaluate_steps=1))
        losses.append([row["train_loss"] for row in run.log()])
    assert (end.compute.rows, end.samples_per_step, end.samples) == (1, 4, 80)
    assert "memory ran out; going on with 1 rows" in run.screen.console.file.getvalue()
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_when_memory_runs_out_in_a_change_of_the_weights_it_is_made_anew(trial, monkeypatch):
    whole = trial("whole")
    whole.run(20, batch=1, train=replace(TRAIN, save_steps=5))
    take, step, now, failed = Stepper.step, Muon.step, [-1], []

    def noted(self, first, *args):
        now[0] = first  # not that of a dry run
        return take(self, first, *args)

    def tight(self, closure=None):
        if now[0] == 12 and not failed:
            failed.append(True)
            with torch.no_grad():
                self.param_groups[0]["params"][0].fill_(7.0)
            raise MemoryError
        return step(self, closure)

    run = trial()
    monkeypatch.setattr(Stepper, "step", noted)
    monkeypatch.setattr(Muon, "step", tight)
    end = run.run(20, batch=1, train=replace(TRAIN, save_steps=5))
    assert failed
    assert end.compute.checkpointing  # one row cannot be halved
    assert without_times(run.log()) == without_times(whole.log())


def test_on_another_machine_it_is_measured_anew(trial, monkeypatch):
    first = trial()
    first.stop_at = 1
    with pytest.raises(KeyboardInterrupt):
        first.run(40)
    monkeypatch.setattr(memory, "device_name", lambda device: "a smaller one")
    monkeypatch.setattr(memory, "largest_batch", lambda *_, **__: 2)
    other = trial()
    end = other.run(40)
    assert (end.compute.rows, end.samples_per_step, end.device) == (2, 4, "a smaller one")
    assert "on another machine than before" in other.screen.console.file.getvalue()
    assert end.samples == 160


@pytest.mark.parametrize(
    ("rows", "fits", "part"),
    [(12, 8, 6), (9, 4, 3), (7, 6, 1), (8, 8, 8), (50, 32, 25)],
)
def test_micro_batches_are_even_parts_of_a_batch(rows, fits, part):
    assert autotune.largest_divisor(rows, fits) == part


def test_a_batch_that_grows_is_timed_with_all_of_its_micro_batches(monkeypatch):
    monkeypatch.setattr(autotune, "_step_seconds", lambda stepper, rows, **_: 1.0)
    found = []
    for fits in (8, 64):
        monkeypatch.setattr(autotune, "_largest_batch", lambda _, rows, fits=fits: min(rows, fits))
        tuned = autotune.Tuned(ComputePlan(4, 8), 32, 8.0)
        tuned = autotune._grown(SimpleNamespace(world=ALONE), tuned, 64_000)
        found.append((tuned.plan.rows, tuned.samples_per_step, tuned.step_seconds))
    assert found == [(8, 32, 4.0), (64, 64, 1.0)]


@pytest.mark.parametrize(("rows", "processes", "each"), [(32, 8, (4, 1)), (2, 8, (2, 2))])
def test_a_plan_is_shared_out_over_processes(rows, processes, each):
    plan = ComputePlan(rows, 32 // rows).for_processes(processes, 32)
    assert (plan.rows, plan.micro_batches) == each
    assert ComputePlan(rows).for_processes(1, 32).micro_batches == 32 // rows


def test_when_one_row_is_too_much_blocks_are_recomputed(trial, monkeypatch):
    whole = trial("whole")
    whole.run(20, batch=1)
    step = Stepper.step

    def tight(self, first, *args):
        if first >= 10 and not self.model.recompute:
            raise MemoryError
        return step(self, first, *args)

    monkeypatch.setattr(Stepper, "step", tight)
    run = trial()
    end = run.run(20, batch=1)
    assert end.compute.checkpointing
    assert "with activation checkpointing" in run.screen.console.file.getvalue()
    assert without_times(run.log()) == without_times(whole.log())


def test_the_newest_checkpoints_stay_and_a_damaged_one_is_passed_over(trial):
    train = replace(TRAIN, save_steps=4, keep_checkpoints=3)
    run = trial()
    run.run(20, train=train)
    newest, second, third = checkpoint_files(run.folder / "last")
    assert [int(p.stem[5:]) for p in (newest, second, third)] == [20, 16, 12]
    newest.write_bytes(b"nonsense")
    second.write_bytes(second.read_bytes()[:-1])
    again = trial()
    assert again.run(20, train=train).step == 20
    assert "continuing from step 12" in again.screen.console.file.getvalue()
    assert without_times(again.log()) == without_times(run.log())


def test_events_for_tensorboard_on_request(trial):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = trial()
    run.run(20, train=replace(TRAIN, tensorboard=True))
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    found = {e.step: e.value for e in events.Scalars("val_loss")}
    assert found == pytest.approx({r["step"]: r["val_loss"] for r in run.log()})


def test_tensorboard_that_is_not_installed_is_one_line(trial, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError, match="pip install tensorboard=="):
        trial().run(20, train=replace(TRAIN, tensorboard=True))


def test_a_terminal_shows_where_the_run_stands(trial):
    run = trial()
    run.screen = Screen(Console(file=io.StringIO(), force_terminal=True, width=100))
    run.run(40)
    shown = run.screen.console.file.getvalue()
    for part in ("of 40", "tokens/s", "peak", "GiB", "bits/byte", "left", "it says"):
        assert part in shown


def test_enough_passes_end_a_long_budget_and_more_minutes_extend_it(trial, clock):
    first = trial()
    end = first.run(1, epochs=0.0, minutes=10.0, max_epochs=1.0)
    assert end.budget.steps == end.step == math.ceil(99 / 4)
    again = trial()
    assert again.run(1, epochs=0.0, minutes=10.0, max_epochs=1.0).step == end.step
    longer = trial()
    assert longer.run(1, epochs=0.0, minutes=2 * end.budget.minutes).step == 2 * end.step


def test_a_loss_that_is_no_number_is_said_in_words(trial):
    run = trial()
    with torch.no_grad():
        run.decoder.tokens.weight.fill_(math.nan)
    with pytest.raises(TrainingDiverged, match=r"set a lower pretrain\.learning_rate"):
        run.run(5)


def test_a_damaged_checkpoint_is_refused_in_one_line(trial):
    run = trial()
    run.run(10)
    newest, *older = checkpoint_files(run.folder / "last")
    for path in older:
        path.unlink()
    data = bytearray(newest.read_bytes())
    data[-10] ^= 1
    for damaged in (bytes(data), newest.read_bytes()[:-100], b""):
        newest.write_bytes(damaged)
        with pytest.raises(WorkspaceError, match="is damaged"):
            trial().run(10)


def test_what_another_version_saved_and_this_one_does_not_know_is_ignored(trial):
    end = trial().run(10)
    saved = {**end.to_dict(), "speed": 0.1}
    saved["time"]["sleeping_seconds"] = 1.0
    assert TrainState.from_dict(saved) == end


OLD_STATE = {
    "key": "k", "minutes": 6.0, "epochs": 0.0, "planned": 40,
    "schedule": {"total": 30, "decay_from": 15}, "every": 5,
    "way": {"precision": "bfloat16", "threads": 2, "recompute": True}, "compiled": True,
    "update": 12, "rows": 4, "step": 7, "timed": True, "samples": 84, "tokens": 900,
    "seconds": 1.5, "start": 2.5, "evaluation": 0.25, "aside": 0.75, "place": "cpu, 8 GiB",
    "best": 4.5, "best_step": 5, "recent": 4.75, "waiting": 1, "share": 0.5, "setbacks": 2,
    "in_a_row": 1, "smooth": 3.5, "lowest": 3.25,
}  # fmt: skip


def test_the_state_of_the_first_version_is_read():
    state = TrainState.from_dict(OLD_STATE)
    assert state.schedule == Schedule(30, 15)
    assert state.compute == ComputePlan(4, 3, "bfloat16", 2, True)
    saved = state.to_dict()
    assert (saved.pop("schedule"), saved.pop("compute")) != ({}, {})
    assert saved == {
        "key": "k",
        "budget": {"steps": 40, "minutes": 6.0, "epochs": 0.0, "timed": True},
        "evaluate_every": 5, "samples_per_step": 12, "device": "cpu, 8 GiB",
        "step": 7, "samples": 84, "tokens": 900,
        "best": {"bits_per_byte": 4.5, "step": 5, "recent": 4.75, "evaluations_since": 1},
        "recovery": {
            "lr_scale": 0.5, "setbacks": 2, "setbacks_in_a_row": 1, "smoothed_loss": 3.5,
            "lowest_smoothed_loss": 3.25,
        },
        "time": {
            "step_seconds": 1.5, "startup_seconds": 2.5, "evaluation_seconds": 0.25,
            "overhead_seconds": 0.75,
        },
    }  # fmt: skip
