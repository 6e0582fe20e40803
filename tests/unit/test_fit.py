"""The training loop: it learns, resumes exactly, extends, stops early, and saves on Ctrl-C."""

from __future__ import annotations

import json
import math
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from pipeline.config import Train
from pipeline.errors import DataError, WorkspaceError
from pipeline.evaluation.bits import Loss, measure, windows
from pipeline.screen import Screen
from pipeline.training import checkpoint
from pipeline.training.batches import Blocks
from pipeline.training.fit import Parts, fit
from pipeline.training.plan import FitSettings, Progress
from transformer.config import ModelConfig
from transformer.decoder import Decoder

IDS = np.tile(np.arange(20), 40).astype(np.uint16)
TRAIN = Train(device="cpu", precision="float32", evaluate_every=10, save_every=60)


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
        folder.mkdir(exist_ok=True)

    def evaluate(self) -> Loss:
        if self.losses is not None:
            return Loss(self.losses.pop(0), 1, 1)
        return measure(self.decoder, windows(IDS[:100], 8), 99)

    def sample(self) -> str:
        if self.stop_at is not None and len(self.log()) >= self.stop_at:
            signal.raise_signal(signal.SIGINT)
        return "sample"

    def log(self) -> list[dict[str, float]]:
        text = (self.folder / "log.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def run(self, steps: int, **changes: object) -> Progress:
        usual = FitSettings(
            key="k",
            minutes=1.0,
            epochs=steps * 4 / 99,
            batch=4,
            accumulation=1,
            learning_rate=3e-3,
            weight_decay=0.1,
            patience=0,
            train=TRAIN,
        )
        settings = replace(usual, **changes)
        parts = Parts(
            model=self.decoder,
            data=Blocks(IDS, 8, "random", 1),
            evaluate=self.evaluate,
            keep=lambda: self.kept.append(len(self.log())),
            sample=self.sample,
        )
        return fit(parts, settings, self.folder, self.screen)

    def weights(self) -> list[torch.Tensor]:
        return [p.detach().clone() for p in self.decoder.parameters()]


@pytest.fixture
def trial(tmp_path, console):
    return lambda name="run": Trial(tmp_path / name, console)


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
    assert end.best == pytest.approx(min(r["val_bits_per_byte"] for r in log), abs=1e-4)


def without_times(log):
    return [{k: v for k, v in r.items() if not k.endswith(("seconds", "second"))} for r in log]


def test_a_stopped_run_ends_like_one_that_never_stopped(trial):
    whole = trial("whole")
    whole.run(50)
    parts = trial("parts")
    for stop_at in (1, 3):
        parts.stop_at = stop_at
        with pytest.raises(KeyboardInterrupt):
            parts.run(50)
        parts = trial("parts")  # a new process: new weights, nothing remembered
    parts.run(50)
    assert without_times(parts.log()) == without_times(whole.log())
    assert all(map(torch.equal, parts.weights(), whole.weights()))


def test_a_killed_run_repeats_the_steps_it_lost(trial):
    whole = trial("whole")
    whole.run(40)
    killed = trial("killed")
    killed.sample = lambda: (_ for _ in ()).throw(SystemExit) if len(killed.log()) == 2 else ""
    with pytest.raises(SystemExit):
        killed.run(40)  # dies at step 20; its last checkpoint is of step 0
    again = trial("killed")
    again.run(40)
    assert without_times(again.log()) == without_times(whole.log())


def test_a_larger_budget_goes_on_from_before_the_decay(trial):
    small = trial()
    small.run(50)
    before = small.log()
    larger = trial()
    end = larger.run(100)
    log = larger.log()
    assert end.step == 100
    assert log[:3] == before[:3]  # steps 10 to 30 were not taken again
    assert [row["lr"] for row in log[2:6]] == [3e-3] * 4  # decay moved from step 35 to 70


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
    assert (end.best, end.best_step) == (pytest.approx(1 / math.log(2)), 0)


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
    assert end.best_step == 20
    assert end.step == 72  # stalled at 50, so it decayed for 22 steps more
    assert run.kept == [0, 0, 1]  # before training, and at steps 10 and 20


def test_accumulation_is_a_larger_batch(trial):
    losses = []
    for name, batch, accumulation in (("one", 4, 1), ("two", 2, 2)):
        run = trial(name)
        for module in run.decoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # which units it drops depends on the shape of the batch
        every_step = replace(TRAIN, evaluate_every=1)
        run.run(5, batch=batch, accumulation=accumulation, train=every_step)
        losses.append([row["train_loss"] for row in run.log()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_minutes_become_steps_by_what_a_step_takes(trial, monkeypatch):
    monkeypatch.setattr("pipeline.training.fit.seconds", lambda work: 0.1)
    end = trial().run(1, epochs=0.0, minutes=0.1)
    assert 50 < end.planned == end.step <= 60


def test_a_loss_that_is_no_number_is_said_in_words(trial):
    run = trial()
    with torch.no_grad():
        run.decoder.tokens.weight.fill_(math.nan)
    with pytest.raises(DataError, match="lower learning_rate"):
        run.run(5)


def test_a_damaged_checkpoint_is_refused_in_one_line(trial):
    run = trial()
    run.run(10)
    path = run.folder / "last" / checkpoint.NAME
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    for damaged in (bytes(data), path.read_bytes()[:-100], b""):
        path.write_bytes(damaged)
        with pytest.raises(WorkspaceError, match="is damaged"):
            trial().run(10)
