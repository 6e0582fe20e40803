"""The laboratory: the same conditions for all, nothing done twice, nothing claimed from luck."""

from __future__ import annotations

import io
import itertools
import multiprocessing
import os
import signal
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from pipeline.__main__ import main
from pipeline.common.errors import DataError, SoundalikeError, TrainingDiverged
from pipeline.common.files import read_json, write_json
from pipeline.common.screen import Screen
from pipeline.experiments import (
    measurements,
    planning,
    result_tables,
    results_page,
    run_families,
    run_trial,
    training_text,
)
from pipeline.experiments.child_process import Crashed, await_child, run_in_child
from pipeline.experiments.conclusions import CLAIMS, conclusions
from pipeline.experiments.laboratory import Laboratory
from pipeline.experiments.results import Difference, Outcome, Results, Spread
from pipeline.experiments.results_page import BEGIN, END
from pipeline.experiments.study import study
from pipeline.experiments.training_text import load_text
from pipeline.experiments.trial import ROWS, Trial, make_trial, max_steps, parameters
from pipeline.experiments.variants import BASELINE, FAMILIES, UPTRAINING, Family, Variant
from pipeline.training.optimizer import SINGLE, optimizers, restore_state, set_rate, state_tensors
from pipeline.workspace.stages import ENCODED, TOKENIZER
from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder

TEXT = training_text.TrainingText(
    "a text", "k", Path("train"), Path("val"), 1024, (160_000, 17_000)
)
STEPS = 400
PROSE = "".join(
    f"On day {n} the keeper of light {n * 7 % 11} wrote {n * n} words about the {w}.\n"
    for n, w in enumerate(["sea", "fog", "lamp", "stairs", "gulls", "boat", "letters"] * 100)
)


def trials(family: Family, seed: int = 1) -> dict[str, Trial]:
    return {v.label: make_trial(family, v, TEXT, STEPS, seed) for v in family.variants}


def not_compared(family: Family, variant: Variant) -> bool:
    """Whether nothing is said of it beside the others, though it were much better."""
    losses = {v.label: [2.0 if v is variant else 4.0] * 3 for v in family.variants}
    found = made_up(family.name, losses)
    said = "\n".join([result_tables.markdown(found), *conclusions(found)])
    return f"**{variant.name}**" not in said and "| not compared |" in said


# --- the same conditions ---------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda f: f.name)
def test_a_family_has_one_size_and_the_same_tokens(family):
    made = trials(family)
    wanted = parameters(next(iter(made.values())).config)
    for variant in family.variants:
        found = made[variant.label]
        if variant.pooled_from:
            start = made[variant.pooled_from]
            assert found.pooled_from == start
            assert found.steps == round(UPTRAINING * start.steps)
            assert not_compared(family, variant)
            continue
        assert parameters(found.config) == pytest.approx(wanted, rel=0.02), variant.label
        assert found.tokens == next(iter(made.values())).tokens
    assert len({found.key for found in made.values()}) == len(made)


def test_dropout_passes_once_over_much_and_twenty_times_over_little():
    made = trials(FAMILIES["dropout"])
    for label, found in made.items():
        passes = found.tokens / (TEXT.tokens[0] * found.text_share)
        assert passes == pytest.approx(20 if "little" in label else 1, rel=0.02)


def test_the_baseline_is_one_run_for_all_who_share_it():
    shared = {name: f for name, f in FAMILIES.items() if name != "dropout"}
    keys = {next(iter(trials(family).values())).key for family in shared.values()}
    assert len(keys) == 1


def test_a_run_is_known_by_what_shapes_it():
    found = trials(FAMILIES["positions"])["rope"]
    changed = [
        replace(found, steps=found.steps + 1),
        replace(found, seed=2),
        replace(found, learning_rate=found.learning_rate / 2),
        replace(found, text=replace(TEXT, key="another")),
        replace(found, config=replace(found.config, dropout=0.1)),
    ]
    assert len({t.key for t in (found, *changed)}) == 6
    assert replace(found, text=replace(TEXT, train=Path("elsewhere"))).key == found.key


def test_the_courses_claims_name_variants_that_there_are():
    for name, known in CLAIMS.items():
        for claim in known:
            there = {v.name for v in FAMILIES[name].groups[claim.group]}
            assert {claim.better, *claim.others} <= there


# --- beyond the training length --------------------------------------------------------------


def small(**changes) -> Decoder:
    shape = {"vocab_size": 50, "block": 16, "width": 16, "layers": 1, "heads": 2, "dropout": 0.0}
    return Decoder(ModelConfig(**{**shape, **changes}), torch.Generator().manual_seed(1)).eval()


class ToldTargets(torch.nn.Module):
    """Keeps the targets that it is given, and finds no loss."""

    def __init__(self, seen: list[torch.Tensor], model: Decoder) -> None:
        super().__init__()
        self.seen, self.model = seen, model

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.seen.append(y)
        return torch.zeros(())


@pytest.mark.parametrize("position", ["none", "sinusoidal", "relative", "rope"])
def test_a_longer_context_changes_nothing_within_the_old_one(position):
    decoder = small(position=position)
    stretched = measurements.extended(decoder, 4)
    ids = torch.arange(64).remainder(50)[None]
    with torch.no_grad():
        torch.testing.assert_close(stretched(ids)[:, :16], decoder(ids[:, :16]))


def test_learned_positions_are_refused_beyond_their_length_with_the_reason():
    with pytest.raises(ConfigError, match="none for position 17"):
        measurements.extended(small(position="learned"), 2)
    found = measurements.longer_loss(small(position="learned"), 2, torch.arange(40).numpy(), 99, 8)
    assert "one trained vector each for 16 positions" in found["refused"]


def test_a_longer_context_is_measured_on_as_many_targets_all_beyond_the_training_length(
    monkeypatch,
):
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        "pipeline.training.validation.Objective",
        lambda model: ToldTargets(seen, model),
    )
    ids = torch.arange(5000).remainder(50).numpy()
    for times in (2, 4):
        seen.clear()
        measurements.longer_loss(small(), times, ids, 9999, windows=64)
        rows = torch.cat(seen)
        assert int((rows >= 0).sum()) == pytest.approx(64 * 8, rel=0.1)
        assert not (rows[1:, :16] >= 0).any()


# --- ranking ---------------------------------------------------------------------------------


def test_the_spread_is_pooled_over_all_that_ran_several_times():
    spread = Spread.of([[1.0, 1.2, 1.1], [2.0, 2.2, 2.1], [9.0]])
    assert spread is not None
    assert (spread.deviation, spread.freedom) == (pytest.approx(0.1), 4)
    assert spread.threshold(3, 3) == pytest.approx(2.78 * 0.1 * (2 / 3) ** 0.5)
    assert spread.threshold(1, 3) > spread.threshold(3, 3)
    assert Spread.of([[1.0], [2.0]]) is None


@pytest.mark.parametrize(
    ("one", "word"), [([0.5, 0.6, 0.7], "better"), ([1.0, 1.1, 1.2], "same"), ([2.0], "worse")]
)
def test_a_difference_within_the_spread_is_none(one, word):
    other = [1.0, 1.1, 1.2]
    assert Difference.between(one, other, Spread.of([one, other])).word == word


def test_without_seeds_nothing_can_be_told():
    assert Difference.between([1.0], [9.0], None).word == "same"


# --- conclusions for made-up results ---------------------------------------------------------


def made_up(name: str, losses: dict[str, list[float]], **more) -> Results:
    family = FAMILIES[name]
    outcomes = {
        v.label: Outcome(v, [{"val_loss": x, **more.get(v.label, {})} for x in losses[v.label]])
        for v in family.variants
        if v.label in losses
    }
    kept = tuple(outcome.variant for outcome in outcomes.values())
    return Results(replace(family, variants=kept), outcomes)


def test_a_busy_stretch_is_not_the_speed():
    def curve(*seconds):
        return [{"tokens": 100 * (n + 1), "seconds": s} for n, s in enumerate(seconds)]

    variant = FAMILIES["norms"].variants[0]
    records = [{"curve": curve(2.0, 3.0, 13.0)}, {"curve": curve(4.0, 6.0)}, {"failed": "memory"}]
    assert Outcome(variant, records).speed == 100.0
    assert Outcome(variant, [{"failed": "memory"}]).speed is None


def test_conclusions_tell_what_counts_and_what_does_not():
    refused = {"refused": "no vector for position 129"}
    found = made_up(
        "positions",
        {
            "rope": [4.00, 4.01, 4.02],
            "none": [4.50],
            "learned": [4.10, 4.11, 4.12],
            "sinusoidal": [4.30],
            "relative": [4.00, 4.02, 4.01],
        },
        learned={"longer": {"2": refused, "4": refused}},
    )
    said = "\n".join(conclusions(found))
    assert "**learned** is worse than rope by 0.100 nats" in said
    assert "**none** is worse" in said
    assert "No significant difference from rope: relative +0.000" in said
    assert "learned cannot be used beyond the training length: no vector for position 129." in said
    ours, theirs = said.split("In the courses: ", 1)
    assert "better" not in ours.replace("better than learned", "")
    assert "rope 4.393, learned 4.675. Here: confirmed, rope is better than learned" in theirs
    assert "relative 4.421. Here: **not confirmed**, no significant difference" in theirs


def test_a_conclusion_against_the_courses_is_marked():
    found = made_up("placement", {"4 blocks: pre": [4.0, 4.0, 4.01], "4 blocks: post": [4.2] * 3})
    *_, line = conclusions(found)
    assert "**contradicted**, post is worse than pre by 0.197 nats (significant from 0.0" in line


def test_a_threshold_is_said_where_there_is_one():
    losses = {"rms": [4.0, 4.1, 4.2], "layer": [4.05], "batch": [4.0]}
    said = "\n".join(conclusions(made_up("norms", losses)))
    assert "No significant difference from rms: layer -0.050 (significant from 0.497)" in said
    once = made_up("norms", {name: values[:1] for name, values in losses.items()})
    said = "\n".join(conclusions(once))
    assert "layer +0.050, batch +0.000." in said
    assert "inf" not in said
    assert "(spread" not in said


def test_rows_keep_the_tables_order_and_failures_are_said():
    found = made_up("norms", {"rms": [4.0, 4.1, 4.2], "layer": [3.0]})
    found.outcomes["layer"].records.append({"failed": "The loss became nan"})
    page = result_tables.markdown(found)
    assert page.index("| rms ") < page.index("| layer ")
    assert "1 failed" in page
    assert "**layer** did not finish. The loss became nan." in list(conclusions(found))


# --- the order of runs -----------------------------------------------------------------------


class Pretended:
    """A runner that writes records and trains nothing; `stop` is the run at which Ctrl-C comes."""

    def __init__(self, stop: int = -1) -> None:
        self.done: list[Trial] = []
        self.stop = stop

    def __call__(self, wanted, folder, keeps, tick) -> None:
        if len(self.done) == self.stop:
            raise KeyboardInterrupt
        if wanted.pooled_from is not None:
            assert wanted.pooled_from.model_folder(folder).exists()
        if keeps:
            wanted.model_folder(folder).mkdir(parents=True)
        self.done.append(wanted)
        loss = 4 + wanted.config.hidden / 1000 + wanted.seed / 100
        write_json(wanted.record_path(folder), {"val_loss": loss, "setbacks": 0})


def test_the_baseline_and_the_best_two_run_with_all_seeds(tmp_path):
    runner = Pretended()
    found = Laboratory(TEXT, STEPS, tmp_path, runner).study(FAMILIES["attention"])
    runs = {name: len(outcome.records) for name, outcome in found.outcomes.items()}
    assert runs["gqa"] == runs["mha"] == 3  # mha has the narrowest feed-forward: best here
    assert sorted(runs.values()) == [1] * 8 + [3] * 3
    assert len(runner.done) == 8 + 9
    again = Pretended(stop=0)
    Laboratory(TEXT, STEPS, tmp_path, again).study(FAMILIES["attention"])
    assert not again.done


def test_a_stopped_study_goes_on_where_it_was(tmp_path):
    stopped, rest = Pretended(stop=3), Pretended()
    with pytest.raises(KeyboardInterrupt):
        Laboratory(TEXT, STEPS, tmp_path, stopped).study(FAMILIES["norms"])
    laboratory = Laboratory(TEXT, STEPS, tmp_path, rest)
    laboratory.study(FAMILIES["norms"])
    assert len(stopped.done) == 3
    assert len(rest.done) == 6
    assert not {t.key for t in stopped.done} & {t.key for t in rest.done}


def test_families_share_the_baselines_runs(tmp_path):
    runner = Pretended()
    laboratory = Laboratory(TEXT, STEPS, tmp_path, runner)
    laboratory.study(FAMILIES["norms"])
    laboratory.study(FAMILIES["activations"])
    assert len({t.key for t in runner.done}) == len(runner.done)


def test_a_crash_ends_nothing_else_and_is_tried_again(tmp_path):
    def crashing(wanted, folder, keeps, tick):
        if wanted.config.norm == "layer":
            raise Crashed("The process of a run ended with code -9")
        Pretended()(wanted, folder, keeps, tick)

    laboratory = Laboratory(TEXT, STEPS, tmp_path, crashing)
    found = laboratory.study(FAMILIES["norms"])
    assert found.outcomes["layer"].failed == "The process of a run ended with code -9"
    assert len(found.outcomes["batch"].records) == 3
    assert laboratory.missing([FAMILIES["norms"]]) == 1


def test_what_would_begin_from_a_failed_run_fails_with_its_reason(tmp_path):
    asked: list[Trial] = []

    def straying(wanted, folder, keeps, tick):
        asked.append(wanted)
        Pretended()(wanted, folder, False, tick)
        if wanted.config.kv_heads == 4:
            write_json(wanted.record_path(folder), {"failed": "At step 9 it rose"})

    laboratory = Laboratory(TEXT, STEPS, tmp_path, straying)
    few = [v for v in FAMILIES["attention"].variants if v.name in ("gqa", "mha", "mha to gqa")]
    family = replace(FAMILIES["attention"], variants=tuple(few))
    found = laboratory.study(family)
    assert found.outcomes["mha to gqa"].failed == "The run it starts from failed: At step 9 it rose"
    assert not any(t.pooled_from for t in asked)
    assert laboratory.missing([family]) == 0


def test_a_crashed_start_is_tried_again_with_what_begins_from_it(tmp_path):
    def crashing(wanted, folder, keeps, tick):
        assert not wanted.pooled_from
        raise Crashed("The process of a run ended with code -9")

    laboratory = Laboratory(TEXT, STEPS, tmp_path, crashing)
    family = FAMILIES["attention"]
    found = laboratory.study(family)
    assert "starts from failed: The process" in str(found.outcomes["mha to gqa"].failed)
    assert laboratory.missing([family]) == len(family.variants)


def test_a_shared_baseline_is_missing_once(tmp_path):
    laboratory = Laboratory(TEXT, STEPS, tmp_path)
    assert laboratory.missing([FAMILIES["norms"], FAMILIES["activations"]]) == 3 + 5 - 1


def test_a_process_that_ends_early_is_told(tmp_path):
    with pytest.raises(Crashed, match="code 3"):
        await_child(partial(os._exit, 3), tmp_path / "log", lambda: None)


def test_a_process_prints_nothing_on_the_screen(tmp_path, capfd):
    log = tmp_path / "runs" / "log"
    await_child(partial(print, "all is well"), log, lambda: None)
    assert not log.exists()
    with pytest.raises(Crashed, match=r"code 1; see .*log"):
        await_child(partial(signal.default_int_handler, 2, None), log, lambda: None)
    assert not log.read_text(encoding="utf-8")
    with pytest.raises(Crashed, match=r"code 1; see .*log"):
        await_child(partial(int, "x"), log, lambda: None)
    assert "ValueError" in log.read_text(encoding="utf-8")
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows cannot hold it back")
def test_an_interruption_of_a_process_that_still_imports_is_quiet(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("pipeline.experiments.child_process.POLL_SECONDS", 0.001)

    pressed: list[int] = []

    def interrupt():
        if not pressed:
            (child,) = multiprocessing.active_children()
            pressed.append(child.pid)
            os.kill(child.pid, signal.SIGINT)

    with pytest.raises(Crashed, match="code 1;"):
        await_child(partial(time.sleep, 10), tmp_path / "log", interrupt)
    assert capfd.readouterr() == ("", "")


# --- how many steps --------------------------------------------------------------------------


def test_as_many_steps_as_fit_into_the_time():
    costs = [
        planning.Cost(3, 0.1, 1.0, 10**6),
        planning.Cost(1, 0.2, 1.0, 100),
        planning.Cost(1, 0.1, 0.05, 9),
    ]
    steps = planning.fitting_steps(costs, 500)
    assert sum(c.seconds(steps) for c in costs) <= 500 < sum(c.seconds(steps + 1) for c in costs)
    assert planning.fitting_steps(costs, -5) == planning.MIN_STEPS


def test_a_plan_counts_every_run_once_and_is_the_same_the_next_time(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_time_steps", lambda trials, _: [0.1] * len(trials))
    both, runner = [FAMILIES["norms"], FAMILIES["activations"]], Pretended()
    made = planning.make_plan(both, 20.0, TEXT, tmp_path, runner)
    assert made.runs == 3 + 2 * 3 + (4 + 2 * 2)
    assert 19.5 < made.minutes <= 20.0
    assert [t.steps for t in runner.done] == [planning.PILOT_STEPS]
    assert not list((tmp_path / "runs").iterdir())
    path = planning.plan_path(both, 20.0, TEXT, tmp_path)
    write_json(path, asdict(made))
    assert planning.load_plan(path) == made
    assert planning.load_plan(planning.plan_path(both, 21.0, TEXT, tmp_path)) is None


def test_the_time_of_the_timing_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_time_steps", lambda trials, _: [0.1] * len(trials))
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(planning, "time", clock)

    def slow(wanted, folder, keeps, tick):
        assert wanted.config == trials(FAMILIES["positions"])["rope"].config
        assert not wanted.tests_longer
        Pretended()(wanted, folder, keeps, tick)
        clock.now += 12.0

    made = planning.make_plan([FAMILIES["positions"]], 10.0, TEXT, tmp_path, slow)
    assert 9.75 < made.minutes <= 10 - 12 / 60


def test_a_run_that_families_share_is_planned_as_often_as_the_one_that_repeats_it(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(planning, "_time_steps", lambda trials, _: [0.1] * len(trials))
    one = FAMILIES["activations"]
    other = replace(one, variants=one.variants[::-1])
    for both in ([one, other], [other, one]):
        assert planning.make_plan(both, 20.0, TEXT, tmp_path, Pretended()).runs == 2 * 3 + 3 * 2


def test_a_family_of_one_pass_is_planned_with_no_more():
    most = max_steps(FAMILIES["dropout"], TEXT)
    assert planning.fitting_steps([planning.Cost(3, 0.1, 1.0, most)], 1e9) == most
    assert most == pytest.approx(TEXT.tokens[0] / 1024, rel=0.01)


# --- real runs, tiny -------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A laboratory whose runs take a moment, in this process."""
    for name, value in {"block": 16, "width": 16, "layers": 1}.items():
        monkeypatch.setitem(BASELINE, name, value)
    monkeypatch.setattr("pipeline.training.hardware.device.PROBE_SECONDS", 0.001)
    monkeypatch.setattr(training_text, "VOCABULARY", 300)
    monkeypatch.setattr(measurements, "NEW_TOKENS", (4, 8))
    monkeypatch.setattr(run_trial, "peak_flops", lambda machine: 1.0)
    monkeypatch.setattr("pipeline.training.hardware.autotune.peak_flops", lambda machine: 1.0)
    path = tmp_path / "prose.txt"
    path.write_text(PROSE, encoding="utf-8")
    return path


def here(wanted, folder, keeps, tick) -> None:
    run_trial.run(wanted, folder, keeps)
    tick()


def test_a_family_from_a_text_to_a_page_and_the_second_time_only_printed(
    tiny, tmp_path, console, monkeypatch
):
    growing = itertools.count(step=100)  # so small a model may fit into memory freed before
    monkeypatch.setattr("pipeline.training.hardware.memory.used", lambda device: next(growing))
    lab, screen = tmp_path / "lab", Screen(console)
    family = FAMILIES["norms"]
    found = load_text(tiny, lab)
    write_json(planning.plan_path([family], 1.0, found, lab), asdict(planning.Plan(2, 9, 1.0)))
    (results,) = study("norms", [family], 1.0, tiny, lab, screen, here)
    for outcome in results.outcomes.values():
        assert len(outcome.records) == 3
        record = outcome.records[0]
        assert record["tokens"] == 2 * ROWS * 16
        assert {"4", "8"} == set(record["generation"])
        assert record["cache_bytes"] == 2 * 2 * 4 * 4
        assert record["peak_bytes"] > 0
        assert record["curve"]
    assert not list((lab / "runs").glob("*/")) or all(p.is_file() for p in (lab / "runs").iterdir())
    written = (lab / "norms.md").read_text(encoding="utf-8")
    assert "| batch |" in written
    assert "![norms-loss](norms-loss.png)" in written
    assert (lab / "norms-loss.png").read_bytes().startswith(b"\x89PNG")
    before = console.file.getvalue()
    study("norms", [family], 1.0, tiny, lab, screen, Pretended(stop=0))
    assert (lab / "norms.md").read_text(encoding="utf-8") == written
    assert before.splitlines()[-5:-1] == console.file.getvalue().splitlines()[-5:-1]


def test_a_pipe_is_told_of_the_timing_and_of_each_run_when_it_ends(
    tiny, tmp_path, console, monkeypatch
):
    monkeypatch.setattr(planning, "_time_steps", lambda trials, _: [0.1] * len(trials))

    def ticking(wanted, folder, keeps, tick):
        tick()
        if wanted.config.norm == "batch":
            raise Crashed("The process of a run ended with code -9")
        Pretended()(wanted, folder, keeps, tick)

    def told() -> list[str]:
        study("norms", [FAMILIES["norms"]], 1.0, tiny, tmp_path, Screen(console), ticking)
        lines = console.file.getvalue().splitlines()
        console.file.truncate(console.file.seek(0))
        return [line for line in lines if "norms ·" in line or "is timed" in line]

    timing, *runs = told()
    assert "is timed" in timing
    assert runs[0].strip().startswith("norms · rms, seed 1: val 4.")
    assert runs[2].strip() == "norms · batch, seed 1: The process of a run ended with code -9"
    assert len(runs) == 3 + 2 * 2
    assert told() == runs[2:3]  # all else is known


def test_a_terminal_shows_the_run_that_goes_on(tmp_path):
    file = io.StringIO()
    screen = Screen(Console(file=file, force_terminal=True, width=120))
    found = made_up("norms", {"rms": [4.0], "layer": [], "batch": []})
    with result_tables.live_view(tmp_path, screen) as watch:
        layer = FAMILIES["norms"]["layer"]
        watch(found, layer, make_trial(FAMILIES["norms"], layer, TEXT, STEPS, 1))
    assert "seed 1" in file.getvalue()


def test_pooled_heads_begin_from_the_trained_ones(tiny, tmp_path):
    lab = tmp_path / "lab"
    laboratory = Laboratory(load_text(tiny, lab), 3, lab, here)
    family = FAMILIES["attention"]
    few = tuple(v for v in family.variants if v.name in ("gqa", "mha", "mha to gqa"))
    found = laboratory.study(replace(family, variants=few))
    pooled = found.outcomes["mha to gqa"].records[0]
    assert pooled["before"] is not None
    assert pooled["steps"] == 1
    assert pooled["cache_bytes"] == found.outcomes["gqa"].records[0]["cache_bytes"]


def test_a_stopped_run_ends_as_an_unbroken_one(tiny, tmp_path, monkeypatch):
    found = load_text(tiny, tmp_path)
    wanted = make_trial(FAMILIES["optimizer"], FAMILIES["optimizer"]["sgd"], found, 6, 2)
    run_trial.run(wanted, tmp_path / "whole", False)
    whole = read_json(wanted.record_path(tmp_path / "whole"))
    taken: list[int] = []

    def stop_at_the_second(*_: object) -> None:
        taken.append(1)
        if len(taken) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.training.live_view.LiveView.evaluated", stop_at_the_second)
    for attempt in range(2):
        if attempt == 0:
            with pytest.raises(KeyboardInterrupt):
                run_trial.run(wanted, tmp_path / "broken", False)
        else:
            run_trial.run(wanted, tmp_path / "broken", False)
    broken = read_json(wanted.record_path(tmp_path / "broken"))
    assert broken["val_loss"] == whole["val_loss"]
    assert [row["step"] for row in broken["curve"]] == [row["step"] for row in whole["curve"]]


def test_where_a_setback_goes_back_to_does_not_depend_on_the_clock(tiny, tmp_path, monkeypatch):
    wanted = make_trial(FAMILIES["norms"], Variant("rms"), load_text(tiny, tmp_path), 20, 2)
    steps: list[int] = []
    minutes = itertools.count(step=60)
    monkeypatch.setattr(
        "pipeline.training.loop.time", SimpleNamespace(monotonic=lambda: next(minutes))
    )
    monkeypatch.setattr(
        "pipeline.training.checkpoints._write", lambda _, __, state, keep: steps.append(state.step)
    )
    run_trial.run(wanted, tmp_path, False)
    assert set(steps) == set(range(0, 21, 2))


def test_only_a_training_that_went_astray_is_a_result(tiny, tmp_path, monkeypatch):
    wanted = make_trial(FAMILIES["norms"], Variant("rms"), load_text(tiny, tmp_path), 2, 2)

    def ended_by(reason):
        def fit(*_):
            raise reason

        monkeypatch.setattr(run_trial, "fit", fit)
        run_trial.run(wanted, tmp_path, False)
        return read_json(wanted.record_path(tmp_path))

    with pytest.raises(DataError, match="memory"):
        ended_by(DataError("Not even one row fits into the memory; close other programs."))
    assert not wanted.record_path(tmp_path).exists()
    assert (
        ended_by(TrainingDiverged("At step 5 it rose; set a lower rate."))["failed"]
        == "At step 5 it rose"
    )


def test_a_loss_that_is_no_number_in_the_end_is_a_failed_run(tiny, tmp_path, monkeypatch):
    wanted = make_trial(FAMILIES["norms"], Variant("rms"), load_text(tiny, tmp_path), 1, 2)
    monkeypatch.setattr(
        run_trial, "fit", lambda parts, *_: parts.model.tokens.weight.data.fill_(float("nan"))
    )
    run_trial.run(wanted, tmp_path, True)
    record = read_json(wanted.record_path(tmp_path))
    assert "validation loss is nan" in record["failed"]
    assert "val_loss" not in record
    assert not wanted.model_folder(tmp_path).exists()


@pytest.mark.slow
def test_a_run_has_a_process_of_its_own(tiny, tmp_path):
    found = load_text(tiny, tmp_path)
    wanted = replace(make_trial(FAMILIES["norms"], Variant("rms"), found, 2, 2), tests_longer=False)
    ticks: list[int] = []
    run_in_child(wanted, tmp_path, True, lambda: ticks.append(1))
    assert read_json(wanted.record_path(tmp_path))["steps"] == 2
    assert (wanted.model_folder(tmp_path) / "model.safetensors").exists()
    assert ticks
    assert not wanted.output_path(tmp_path).exists()


@pytest.mark.parametrize("name", SINGLE)
def test_every_optimizer_learns_and_goes_on_from_its_state(name):
    def stepped(decoder, found, times):
        for _ in range(times):
            decoder.zero_grad()
            decoder(torch.arange(8)[None]).logsumexp(-1).sum().backward()
            set_rate(found, 0.01)
            for optimizer in found:
                optimizer.step()

    one, other = small(), small()
    stepped(one, mine := optimizers(one, 0.1, name), 2)
    stepped(other, first := optimizers(other, 0.1, name), 1)
    again = optimizers(other, 0.1, name)
    restore_state(again, state_tensors(first))
    stepped(other, again, 1)
    assert len(mine) == 1
    for a, b, fresh in zip(one.parameters(), other.parameters(), small().parameters(), strict=True):
        torch.testing.assert_close(a, b)
        assert not torch.equal(a, fresh)


# --- what a user can get wrong ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["position"], "did you mean positions?"),
        (["zebra"], "pick one of positions"),
        (["norms", "--minutes", "0"], "leaves no time"),
        (["norms", "--text", "nothing.txt"], "There is no nothing.txt"),
        (["norms", "--text", "short.txt"], "give a longer text"),
        (["norms", "--text", "latin.txt"], "not UTF-8"),
        (["norms", "--text", "folder"], "is no encoded workspace"),
        (["norms", "--text", "damaged"], "damaged, not JSON"),
        (["norms", "--workspace", "short.txt"], "is a file"),
        (["norms", "--workspace", "used"], "--text used"),
        (["norms", "--workspace", "others"], "contains other files"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    Path("short.txt").write_text("too little\n" * 50, encoding="utf-8")
    Path("latin.txt").write_bytes("né".encode("latin-1") * 99)
    Path("folder").mkdir()
    for name in (*ENCODED[:2], TOKENIZER):
        Path("damaged", name).parent.mkdir(parents=True, exist_ok=True)
        Path("damaged", name).write_text("{", encoding="utf-8")
    Path("used").mkdir()
    Path("others").mkdir()
    Path("others/mine.txt").touch()
    Path("used/workspace.toml").write_text("", encoding="utf-8")
    assert main(["experiments", *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_the_help_names_every_family(capsys):
    assert main(["experiments", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in (*FAMILIES, run_families.ALL))


def test_two_commands_do_not_share_a_folder(tmp_path):
    with run_families.open_folder(tmp_path / "lab"), pytest.raises(SoundalikeError, match="in use"):
        run_families.open_folder(tmp_path / "lab")


def test_a_folder_is_known_again_without_its_lock(tmp_path):
    folder = tmp_path / "lab"
    run_families.open_folder(folder).release()
    (folder / "norms.md").touch()
    (folder / run_families.LOCK).unlink(missing_ok=True)  # as it is on Windows
    run_families.open_folder(folder).release()


def test_a_text_of_one_line_is_cut_all_the_same():
    learned, held_out = training_text.split("a very long line " * 99)
    assert (len(learned), len(held_out)) == (17 * 99 - 168, 168)
    assert training_text.split("one\ntwo and three\nfour") == ("one\ntwo and three\n", "four")


def test_the_manual_is_there_and_is_the_default(tmp_path):
    found = load_text(None, tmp_path)
    assert found.tokens[0] > 100_000
    assert found == load_text(None, tmp_path)


def test_results_go_between_the_marks_of_a_page(tmp_path):
    results, target = tmp_path / "lab/all.md", tmp_path / "docs/page.md"
    results.parent.mkdir()
    target.parent.mkdir()
    results.write_text("## norms\n\n![a](a.png)\nnew\n", encoding="utf-8")
    (tmp_path / "lab/a.png").write_bytes(b"a picture")
    target.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        assert results_page.main([str(results), str(target)]) is None
    told = target.read_text(encoding="utf-8")
    picture = "![a](pictures/page-a.png)"
    assert told == f"before\n{BEGIN}\n\n### norms\n\n{picture}\nnew\n\n{END}\nafter\n"
    assert (target.parent / "pictures/page-a.png").read_bytes() == b"a picture"


def test_results_that_cannot_be_put_into_a_page_are_one_line(tmp_path):
    results, target = tmp_path / "all.md", tmp_path / "page.md"
    assert results_page.main([]) == results_page.main(["one"]) == results_page.USAGE
    target.write_text("no marks", encoding="utf-8")
    assert "no place for results" in str(results_page.main([str(results), str(target)]))
    target.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    assert "all.md" in str(results_page.main([str(results), str(target)]))


def test_the_docs_have_a_place_for_results_and_name_the_columns():
    told = (Path(__file__).resolve().parents[2] / "docs/laboratory.md").read_text(encoding="utf-8")
    assert BEGIN in told
    assert END in told
    assert all(f"`{name}`" in told for name in FAMILIES)
    assert all(
        column in told for column in (*result_tables.LEARNED, "val at 2×", *result_tables.COSTS)
    )


def test_the_live_table_shows_where_a_run_stands(console):
    found = made_up("norms", {"rms": [4.0], "layer": [], "batch": []})
    console.print(result_tables.live_table(found, "layer", "seed 1, 40%"))
    told = console.file.getvalue()
    assert "seed 1, 40%" in told
    assert "4.000" in told
    assert isinstance(console.file, io.StringIO)


@pytest.mark.parametrize("freedom", range(1, 11))
def test_a_difference_counts_from_students_t_on(freedom):
    stats = pytest.importorskip("scipy.stats", reason="needs SciPy, which scikit-learn brings")
    spread = Spread(0.1, freedom)
    wanted = stats.t.ppf(0.975, freedom) * 0.1 * (1 + 1 / 3) ** 0.5
    assert spread.threshold(1, 3) == pytest.approx(wanted, rel=2e-3)


def test_two_groups_may_use_one_name():
    labels = {v.label for v in FAMILIES["placement"].variants}
    assert len(labels) == len(FAMILIES["placement"].variants)
    assert "12 blocks: post" in labels
