"""Stage 6: build the fine-tuning set, readable (`.jsonl`) and ready for training (`.bin`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import minbpe
from pipeline.cleaning.personal import is_only_placeholders
from pipeline.common.errors import DataError
from pipeline.common.files import read_json, write_jsonl
from pipeline.common.split_names import SPLITS
from pipeline.dialogue import training_text, windows
from pipeline.dialogue.dialogue_file import read_dialogues
from pipeline.dialogue.people import persona_of
from pipeline.dialogue.repeats import limit_repeats
from pipeline.dialogue.template import Encoder
from pipeline.dialogue.turns import Turn
from pipeline.dialogue.windows import Example, padded
from pipeline.stages.runner import Task
from pipeline.training.memmap import writing
from pipeline.workspace.record import Counts
from pipeline.workspace.settings import Dialogues
from pipeline.workspace.stages import DIALOGUES, PRETRAINED, TOKENIZER
from pipeline.workspace.workspace import Workspace

BLOCK = 512  # tokens in a window, where the model takes more


@dataclass(frozen=True)
class Builder:
    """Makes examples of conversations, all in the same way."""

    tokenizer: Encoder
    persona: str
    settings: Dialogues
    block: int

    @classmethod
    def of(cls, workspace: Workspace) -> Builder:
        """As a workspace's settings say, for its tokenizer and its pretrained model."""
        settings = workspace.settings.dialogues
        limit = int(read_json(workspace.path / PRETRAINED / "config.json")["block"])
        block = min(limit, BLOCK if settings.block == "auto" else settings.block)
        return cls(minbpe.load(workspace.path / TOKENIZER), persona_of(workspace), settings, block)

    def examples(self, conversations: Sequence[list[Turn]], trains: bool) -> list[Example]:
        """Those to train on repeat nothing too often; those to measure with have more context."""
        is_target = [[self._is_learned(turn) for turn in turns] for turns in conversations]
        repeats = self.settings.max_repeats
        if trains and repeats:
            is_target = limit_repeats(
                conversations, is_target, None if repeats == "auto" else repeats
            )
        before = windows.TRAIN_CONTEXT if trains else windows.EVAL_CONTEXT
        kind = self.settings.windows
        return [
            example
            for turns, learned in zip(conversations, is_target, strict=True)
            for example in windows.examples(
                turns, self.tokenizer, learned, self.block, kind, before
            )
        ]

    def _is_learned(self, turn: Turn) -> bool:
        """Whether a turn is to be learned, and more than placeholders of what was masked."""
        spoken = self.settings.targets == "all" or turn.speaker == self.persona
        return spoken and not is_only_placeholders(turn.text)

    def row(self, example: Example) -> list[list[int]]:
        """x and y, filled up to the block."""
        return [padded(half, self.block, self.settings.padding) for half in (example.x, example.y)]


def run(task: Task) -> Counts:
    """Write the examples of each part; returns how many, and how many turns they teach."""
    builder = Builder.of(task.workspace)
    parts = _parts(task, builder.persona)
    counts: Counts = {}
    for name in DIALOGUES:
        part = task.path(name).stem
        examples = builder.examples(list(parts[part]), trains=part == "train")
        _write(task.path(name), examples, builder)
        counts[f"{part}_examples"] = len(examples)
        counts[f"{part}_turns"] = sum(sum(example.learned) for example in examples)
    if not counts["train_examples"]:
        raise DataError("There is no turn of the persona to learn from; see source.persona.")
    return counts


def _parts(task: Task, persona: str) -> dict[str, Iterable[list[Turn]]]:
    """The conversations of each split: the chat's, or ready-made ones."""
    if path := task.settings.dialogues.source:
        return dict(read_dialogues(Path(path), persona))
    return {split: training_text.conversations(task.workspace, split) for split in SPLITS}


def _write(path: Path, examples: list[Example], builder: Builder) -> None:
    with writing(path, "int32", (2, builder.block)) as writer:
        for example in examples:
            writer.append(builder.row(example))
        writer.info["bytes"] = sum(example.bytes for example in examples)
    write_jsonl(path.with_suffix(".jsonl"), map(_readable, examples))


def _readable(example: Example) -> dict[str, object]:
    return {
        "turns": [
            {"speaker": turn.speaker, "text": turn.text, "learned": learned}
            for turn, learned in zip(example.turns, example.learned, strict=True)
        ],
        "bytes": example.bytes,
    }
