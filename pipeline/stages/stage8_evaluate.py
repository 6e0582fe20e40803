"""Stage 8: how well the model predicts, and how it sounds, on what it never saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

import minbpe
from pipeline.cleaning.personal import home_countries
from pipeline.common.files import read_jsonl, write_json
from pipeline.dialogue import training_text
from pipeline.dialogue.dialogue_file import read_dialogues
from pipeline.dialogue.turns import Turn
from pipeline.evaluation.copies import leak_warning
from pipeline.evaluation.intervals import Score, Scores, score
from pipeline.evaluation.likeness import Clock, Evaluator, Evidence
from pipeline.evaluation.moments import moments
from pipeline.evaluation.voice import Voice
from pipeline.report.page import write_page
from pipeline.report.samples import exchanges, write_samples
from pipeline.report.verdicts import table
from pipeline.serving.model_card import ModelCard, write_warning
from pipeline.serving.rules import ending_rules, max_tokens
from pipeline.stages.runner import Task
from pipeline.training.hardware.device import Machine, fastest, prepare
from pipeline.training.memmap import ArrayFile
from pipeline.training.validation import measure_text
from pipeline.workspace.settings import SMOLLM2
from pipeline.workspace.stages import (
    DIALOGUE_TEXTS,
    ENCODED,
    MODEL,
    PRETRAINED,
    REPORT,
    SAMPLES,
    SCORES,
    TOKENIZER,
    by_name,
)
from transformer.decoder import Decoder
from transformer.io import load, load_config

COUNTED = ("bits_per_byte", "language_bits_per_byte", "attribution")  # in the stage's last line
MAX_MOMENTS = 1000  # of the test part
LARGE = 50_000_000  # parameters; a full pass of such a model over everybody's text takes too long,
WINDOWS, WINDOW = 32, 512  # so this many windows of this many tokens are read instead, …
TOKENS = 60_000  # … and this many tokens of the test conversations


def run(task: Task) -> dict[str, float | int]:
    """Write `scores.json`, `samples.md` and `report.html`."""
    clock = Clock(task.settings.evaluate.minutes * 60)
    machine = fastest(task.settings.train, prepare(task.settings.train, task.world))
    machine.use()
    base = _load(task.path(PRETRAINED), machine)
    scores: Scores = {"language_bits_per_byte": _language(task, base)}
    persona, samples, tables, replies = "the corpus", [], {}, 0
    if task.path(MODEL).exists():
        evaluator = _evaluator(task, base, machine, clock)
        evaluator.run(task.settings.evaluate.replies)
        scores |= evaluator.scores
        persona, tables, replies = evaluator.own.speaker, evaluator.tables, len(evaluator.replies)
        samples = exchanges(
            evaluator.evidence.moments, evaluator.replies, task.settings.evaluate.prompts
        )
        task.screen.say(table(scores))
        warning = leak_warning(scores)
        write_warning(task.path(MODEL), warning)
        if warning:
            task.screen.warn(warning)
    write_json(task.path(SCORES), scores)
    write_samples(task.path(SAMPLES), persona, samples)
    write_page(task.path(REPORT), persona, _facts(task, replies), scores, tables, samples)
    values = {name: scores[name]["value"] for name in COUNTED if name in scores}
    return {**{name: value for name, value in values.items() if value}, "replies": replies}


def _facts(task: Task, replies: int) -> dict[str, str]:
    """What the page says of the model and of what it learned from."""
    config = load_config(task.path(MODEL if task.path(MODEL).exists() else PRETRAINED))
    record = task.workspace.record(by_name("clean"))
    counts = record.counts if record else {}
    base = task.settings.source.base
    return {
        "Started from": (base if base == SMOLLM2 else Path(base).name) or "scratch",
        "Decoder": f"{config.layers} layers of width {config.width}",
        "Messages of the chat": f"{counts.get('messages', 0):,}",
        "The person's turns, trained on": f"{counts.get('persona_turns_train', 0):,}",
        "The person's turns, tested on": f"{counts.get('persona_turns_test', 0):,}",
        "Replies drawn": f"{replies:,}",
    }


def _load(folder: Path, machine: Machine) -> Decoder:
    """A model in float32, or a large one in what the machine is faster in."""
    decoder = load(folder)
    return decoder.to(machine.device, machine.dtype if _is_large(decoder) else torch.float32)


def _is_large(decoder: Decoder) -> bool:
    return sum(p.numel() for p in decoder.parameters()) > LARGE


def _language(task: Task, base: Decoder) -> Score:
    """Bits per byte of everybody's text: the test part, or validation where there is none."""
    with ArrayFile(task.path(ENCODED[2])) as part:
        name = ENCODED[2] if len(part) > 1 or task.settings.source.export else ENCODED[1]
    with ArrayFile(task.path(name)) as part:
        if len(part) < 2:
            return score(None, note=f"{name} is empty")
        block, limit = (WINDOW, WINDOWS) if _is_large(base) else (base.config.block, 0)
        block = min(block, base.config.block)
        loss = measure_text(base, part.values, block, part.info["bytes"], max_windows=limit)
    note = f"stage 5's model on {name}{', evenly spread windows of it' if limit else ''}"
    return score(loss.bits_per_byte, n=loss.targets, note=note)


def _evaluator(task: Task, base: Decoder, machine: Machine, clock: Clock) -> Evaluator:
    card = ModelCard.read(task.path(MODEL))
    persona = card.persona
    tokenizer = minbpe.load(task.path(TOKENIZER))
    model = _load(task.path(MODEL), machine)
    rows = list(read_jsonl(task.path(DIALOGUE_TEXTS[2])))
    held_out, trained = _conversations(task, persona)
    countries = task.settings.clean.countries or home_countries(
        turn.speaker for conversation in trained for turn in conversation
    )
    asked = moments(rows, persona, MAX_MOMENTS)
    evidence = Evidence(persona, asked, held_out, trained, countries)
    own = Voice(
        model,
        tokenizer,
        card.chat,
        persona,
        max_tokens=max_tokens(card, card.chat, persona),
        endings=ending_rules(card, persona),
    )
    floor, name = None, "the same model as another"
    if task.settings.source.base:
        floor, name = replace(own, decoder=base), "the untuned base"
        if task.workspace.start() is not None:
            name = "the model before it was retrained"
    elif evidence.other:
        floor = replace(own, speaker=evidence.other, instead_of=persona)
    return Evaluator(
        own=own,
        floor=floor,
        floor_name=name,
        reader=base,
        evidence=evidence,
        seed=task.settings.train.seed,
        screen=task.screen,
        clock=clock,
        max_tokens=TOKENS if _is_large(model) else 1 << 40,
    )


def _conversations(task: Task, persona: str) -> tuple[list[list[Turn]], list[list[Turn]]]:
    """The test and the training conversations: the chat's, or ready-made ones."""
    ready = task.workspace.paths("dialogues.source")
    if ready:
        dialogues = read_dialogues(ready[0], persona)
        return dialogues["test"], dialogues["train"]
    held_out, trained = (
        list(training_text.conversations(task.workspace, split)) for split in ("test", "train")
    )
    task.workspace.chat.release()
    return held_out, trained
