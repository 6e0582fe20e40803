"""Stage 8: the proof. How well the model predicts, and how it sounds, on what it never saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import minbpe
from pipeline.cleaning.personal import home_countries
from pipeline.common.files import read_jsonl, write_json
from pipeline.dialogue import source, training_text
from pipeline.dialogue.turns import Turn
from pipeline.evaluation.copies import leaks
from pipeline.evaluation.habits import Table
from pipeline.evaluation.likeness import Clock, Evidence, Proof
from pipeline.evaluation.moments import moments
from pipeline.evaluation.samples import Exchange, exchanges, write_samples
from pipeline.evaluation.scores import score
from pipeline.evaluation.voice import Voice
from pipeline.report.likeness import table
from pipeline.report.page import write_page
from pipeline.serving.model_card import read_facts
from pipeline.serving.rules import endings, longest
from pipeline.serving.warning import flag
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

TOLD = ("bits_per_byte", "language_bits_per_byte", "attribution")  # in the stage's last line
MOMENTS = 1000  # of the test part at most
LARGE = 50_000_000  # parameters of a model for which a full pass over everybody's text is too long
WINDOWS, WINDOW = 32, 512  # of that text are read then
TOKENS = 60_000  # of the test conversations as well


def run(task: Task) -> dict[str, Any]:
    """Write `scores.json`, `samples.md` and `report.html`."""
    clock = Clock(task.settings.evaluate.minutes * 60)
    machine = fastest(task.settings.train, prepare(task.settings.train, task.world))
    machine.use()
    base = _loaded(task.path(PRETRAINED), machine)
    scores = {"language_bits_per_byte": _language(task, base)}
    persona, found, tables, made = "the corpus", list[Exchange](), dict[str, Table](), 0
    if task.path(MODEL).exists():
        proof = _proof(task, base, machine, clock)
        proof.run(task.settings.evaluate.replies)
        scores |= proof.scores
        persona, tables, made = proof.own.speaker, proof.tables, len(proof.made)
        found = exchanges(proof.evidence.moments, proof.made, task.settings.evaluate.prompts)
        task.screen.say(table(scores))
        warning = leaks(scores)
        flag(task.path(MODEL), warning)
        if warning:
            task.screen.warn(warning)
    write_json(task.path(SCORES), scores)
    write_samples(task.path(SAMPLES), persona, found)
    write_page(task.path(REPORT), persona, _facts(task, made), scores, tables, found)
    told = {name: scores[name]["value"] for name in TOLD if scores.get(name, {}).get("value")}
    return {**told, "replies": made}


def _facts(task: Task, made: int) -> dict[str, object]:
    """What the page says of the model and of what it learned from."""
    config = load_config(task.path(MODEL if task.path(MODEL).exists() else PRETRAINED))
    counts = (task.workspace.record(by_name("clean")) or {}).get("counts", {})
    base = task.settings.source.base
    return {
        "Started from": (base if base == SMOLLM2 else Path(base).name) or "nothing",
        "Decoder": f"{config.layers} layers of width {config.width}",
        "Messages of the chat": f"{counts.get('messages', 0):,}",
        "The person's turns, trained on": f"{counts.get('persona_turns_train', 0):,}",
        "The person's turns, tested on": f"{counts.get('persona_turns_test', 0):,}",
        "Replies drawn": f"{made:,}",
    }


def _loaded(folder: Path, machine: Machine) -> Decoder:
    """A model in float32, or a large one in what the machine is faster in."""
    decoder = load(folder)
    large = _is_large(decoder)
    return decoder.to(machine.device, machine.dtype if large else torch.float32)


def _is_large(decoder: Decoder) -> bool:
    return sum(p.numel() for p in decoder.parameters()) > LARGE


def _language(task: Task, base: Decoder) -> dict[str, Any]:
    """Bits per byte of everybody's text: the test part, or validation where there is none."""
    with ArrayFile(task.path(ENCODED[2])) as part:
        name = ENCODED[2] if len(part) > 1 or task.settings.source.export else ENCODED[1]
    with ArrayFile(task.path(name)) as part:
        if len(part) < 2:
            return score(None, note=f"{name} is empty")
        block, most = (WINDOW, WINDOWS) if _is_large(base) else (base.config.block, 0)
        block = min(block, base.config.block)
        loss = measure_text(base, part.values, block, part.info["bytes"], max_windows=most)
    note = f"stage 5's model on {name}{', evenly spread windows of it' if most else ''}"
    return score(loss.bits_per_byte, n=loss.targets, note=note)


def _proof(task: Task, base: Decoder, machine: Machine, clock: Clock) -> Proof:
    facts = read_facts(task.path(MODEL))
    persona = facts.persona
    tokenizer = minbpe.load(task.path(TOKENIZER))
    model = _loaded(task.path(MODEL), machine)
    rows = list(read_jsonl(task.path(DIALOGUE_TEXTS[2])))
    held_out, trained = _conversations(task, persona)
    asked = moments(rows, persona, MOMENTS)
    countries = task.settings.clean.countries or home_countries(
        turn.speaker for conversation in trained for turn in conversation
    )
    evidence = Evidence(persona, asked, held_out, trained, countries)
    own = Voice(
        model,
        tokenizer,
        facts.chat,
        persona,
        longest=longest(facts, facts.chat, persona),
        endings=endings(facts, persona),
    )
    floor, name = replace(own, decoder=base), "the untuned base"
    if task.workspace.start() is not None:
        name = "the model before it was retrained"
    if not task.settings.source.base:
        floor = replace(own, speaker=evidence.other, instead_of=persona)
        name = "the same model as another"
    return Proof(
        own,
        floor if floor.speaker else None,
        name,
        base,
        evidence,
        task.settings.train.seed,
        task.screen,
        clock,
        TOKENS if _is_large(model) else 1 << 40,
    )


def _conversations(task: Task, persona: str) -> tuple[list[list[Turn]], list[list[Turn]]]:
    """The test and the training conversations: the chat's, or ready-made ones."""
    ready = task.workspace.paths("dialogues.source")
    if ready:
        found = source.read(ready[0], persona)
        return found["test"], found["train"]
    return (
        list(training_text.conversations(task.workspace, "test")),
        list(training_text.conversations(task.workspace, "train")),
    )
