"""Which recipe learns a text best in a given time? Trials are differences from the defaults.

    python bench/recipes.py time TEXT TRIAL…               seconds of a step, on a quiet machine
    python bench/recipes.py run TEXT TRIAL… --seconds 60   or --steps 200
    python bench/recipes.py table                          what was found, for docs/experiments.md

A trial is `default`, which is what auto picks when time does not matter, or differences joined by
commas: settings (`pretrain.batch=4`), fields of `ModelConfig` (`width=192`) and constants of the
training (`optimizer.MOMENTUM=0.9`). All share the text's first `--bytes`, whose last tenth is
validation, and the parts that `fit` is made of. With `--seconds` a trial takes as many steps as
`time` says fit in, so that trials compare on a busy machine; each adds one line to `--out`. With
`--every N` it says, too, when validation was best, as stage 5 would keep it.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

import minbpe
from pipeline.common.processes import ALONE
from pipeline.dialogue.template import SPECIAL
from pipeline.training import auto
from pipeline.training.batches import Blocks
from pipeline.training.hardware.device import timed
from pipeline.training.schedule import Schedule
from pipeline.training.state import ComputePlan, FitSettings
from pipeline.training.step import Stepper
from pipeline.training.validation import measure_text
from pipeline.workspace.settings import Settings
from pipeline.workspace.settings_file import from_dict
from transformer.config import ModelConfig
from transformer.decoder import Decoder

FIELDS = {field.name for field in fields(ModelConfig)}
TIMED = 12  # steps, of which the shortest counts


@dataclass(frozen=True)
class Trial:
    """The differences that a trial names, by what they are of."""

    name: str
    settings: Settings
    model: dict[str, Any]
    constants: list[tuple[ModuleType, str, Any]]

    @classmethod
    def of(cls, name: str, seed: int) -> Trial:
        tree: dict[str, dict[str, Any]] = {"train": {"seed": seed}}
        model, constants = {}, []
        for difference in name.split(",") if name != "default" else ():
            key, _, text = difference.partition("=")
            section, _, rest = key.rpartition(".")
            if key in FIELDS:
                model[key] = _value(text)
            elif rest.isupper():
                constants.append((_module(section), rest, _value(text)))
            else:
                tree.setdefault(section, {})[rest] = _value(text)
        return cls(name, from_dict(tree, name), model, constants)

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Its constants, for a while."""
        before = [(module, key, getattr(module, key)) for module, key, _ in self.constants]
        try:
            for module, key, value in self.constants:
                setattr(module, key, value)
            yield
        finally:
            for module, key, value in before:
                setattr(module, key, value)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text.replace("/", ","))  # 0.9/0.95 is a pair
    except (ValueError, SyntaxError):
        return text


def _module(name: str) -> ModuleType:
    return import_module(f"pipeline.training.{name}")


class Laboratory:
    """One text, and what a trial makes of it."""

    def __init__(self, text: bytes) -> None:
        cut = text.rfind(b"\n", 0, len(text) * 9 // 10) + 1
        self.parts = [part.decode("utf-8", "ignore") for part in (text[:cut], text[cut:])]
        self.bytes = [len(part.encode()) for part in self.parts]
        self.encoded: dict[Any, tuple[minbpe.RegexTokenizer, list[Any]]] = {}

    def stepper(self, trial: Trial, threads: int) -> Stepper:
        """A new decoder and its training, as stages 3 to 5 would make them."""
        tokenizer, (ids, _) = self.ids(trial)
        settings = trial.settings
        config = auto.model_config(
            settings.model, len(ids), tokenizer.size, tokenizer.special["<|padding|>"]
        )
        config = ModelConfig(**_shape(config, trial.model))
        seed, pretrain = settings.train.seed, settings.pretrain
        model = Decoder(config, torch.Generator().manual_seed(seed))
        fitting = FitSettings(
            name="pretrain",
            key="",
            minutes=0,
            epochs=0,
            batch=auto.batch(pretrain.batch, config.block),
            accumulation=1,
            learning_rate=auto.learning_rate(pretrain.learning_rate, config.width),
            weight_decay=auto.weight_decay(pretrain.weight_decay, len(ids), warm_start=False),
            patience=0,
            train=settings.train,
        )
        data = Blocks(ids, config.block, pretrain.loader, seed)
        plan = ComputePlan(fitting.batch, threads=threads)
        return Stepper(model, data, fitting, torch.device("cpu"), plan, ALONE)

    def ids(self, trial: Trial) -> tuple[minbpe.RegexTokenizer, list[Any]]:
        """The tokenizer of a trial, and the ids of both parts."""
        chosen = trial.settings.tokenizer
        size = chosen.vocab_size
        size = auto.vocab_size(self.bytes[0]) if size == "auto" else size
        if size not in self.encoded:
            tokenizer = minbpe.RegexTokenizer.train(self.parts[0], size, chosen.pattern, SPECIAL)
            ids = [np.array(tokenizer.encode(part), dtype=np.uint16) for part in self.parts]
            self.encoded[size] = tokenizer, ids
        return self.encoded[size]

    def time(self, trial: Trial, threads: int) -> dict[str, Any]:
        """Seconds of a step."""
        with trial.in_force():
            stepper = self.stepper(trial, threads)
            rows = stepper.settings.batch
            durations = [timed(lambda: stepper.dry_run(rows)) for _ in range(TIMED)]
            return {"step": round(min(durations), 4)}

    def run(self, trial: Trial, threads: int, steps: int, every: int = 0) -> dict[str, Any]:
        """A whole training, and the loss of what comes out of it, and now and then before."""
        with trial.in_force():
            stepper = self.stepper(trial, threads)
            schedule, settings = Schedule.of(steps), stepper.settings
            seed, rows = trial.settings.train.seed, settings.batch
            began, losses, evaluations = time.monotonic(), [], {}
            _, (train, val) = self.ids(trial)
            block = stepper.model.config.block

            for step in range(steps):
                rate = settings.learning_rate * schedule.rate(step)
                late = step >= schedule.decay_from
                losses.append(stepper.step(step * rows, seed + step, rate, late).loss)
                done = step + 1
                if done == steps or (every and done % every == 0):
                    evaluations[done] = measure_text(stepper.model, val, block, self.bytes[1])
            wall = time.monotonic() - began
        best = min(evaluations, key=lambda done: evaluations[done].bits_per_byte)
        tokens, last = steps * rows * block, evaluations[steps]
        return {
            "bits": round(last.bits_per_byte, 4),
            "best": round(evaluations[best].bits_per_byte, 4),
            "best_at": best,
            "train": round(float(np.mean(losses[-max(1, steps // 10) :])) / last.per_token, 3),
            "steps": steps,
            "tokens": tokens,
            "passes": round(tokens / len(train), 2),
            "parameters": sum(p.numel() for p in stepper.model.parameters()),
            "wall": round(wall, 1),
        }


def _shape(config: ModelConfig, changes: dict[str, Any]) -> dict[str, Any]:
    """The settings of a shape with some changed, and what follows from those worked out anew."""
    derived = {"hidden": 0, "head_size": 0, "kv_heads": 0} if changes else {}
    return config.to_dict() | derived | changes


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.open(encoding="utf-8")] if path.exists() else []


def main() -> None:
    given = _arguments()
    if given.verb == "table":
        _table(_lines(given.out))
        return
    torch.set_num_threads(given.threads)
    text = given.text.read_bytes()[: given.bytes]
    laboratory = Laboratory(text)
    commit = subprocess.check_output(["git", "describe", "--always", "--dirty"], text=True).strip()
    for name in given.trials:
        trial = Trial.of(name, given.seed)
        about = {"text": given.text.name, "bytes": len(text), "trial": name}
        if given.verb == "time":
            figures = laboratory.time(trial, given.threads)
        else:
            step = _step(_lines(given.out), about | ({"trial": given.like} if given.like else {}))
            if not (given.steps or step):
                raise SystemExit(f"no time of {name} is known: run the verb `time` first")
            steps = given.steps or max(1, round(given.seconds / step))
            figures = laboratory.run(trial, given.threads, steps, given.every)
            figures["computed"] = round(steps * step, 1) if step else None
        line = {**about, **figures, "seed": given.seed, "threads": given.threads, "commit": commit}
        print(json.dumps(line), flush=True)
        with given.out.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(line) + "\n")


def _step(lines: list[dict[str, Any]], about: dict[str, Any]) -> float | None:
    """The seconds of a step that `time` found for a trial on this text."""
    steps = [line["step"] for line in lines if "step" in line and about.items() <= line.items()]
    return float(steps[-1]) if steps else None


def _table(lines: list[dict[str, Any]]) -> None:
    keys = ("text", "bytes", "trial", "seed", "steps", "passes", "computed", "bits", "best")
    print("| " + " | ".join(keys) + " |")
    print("|---" * len(keys) + "|")
    for line in (line for line in lines if "bits" in line):
        print("| " + " | ".join(str(line.get(key, "")) for key in keys) + " |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("time", "run", "table"))
    parser.add_argument("text", type=Path, nargs="?")
    parser.add_argument("trials", nargs="*", default=["default"])
    parser.add_argument("--bytes", type=int, default=1 << 30)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--every", type=int, default=0, help="steps between validations")
    parser.add_argument("--seed", type=int, default=1337)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--like", help="the trial whose time of a step holds for all of these")
    parser.add_argument("--out", type=Path, default=Path("trials.jsonl"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
