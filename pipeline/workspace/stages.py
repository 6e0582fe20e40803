"""THE LIST of stages, in order: what each reads, what it writes, and the settings that shape it.

Every path is relative to the workspace. A stage's code is `pipeline/stages/stageN_name.py`, a
function `run(task)` that returns counts for its record. The list lies here, below the stages,
because freshness and records are worked out from it without running anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.common.errors import SettingsError

MESSAGES = "1_messages/messages.jsonl"
CLEAN = "2_clean/messages.jsonl"
PEOPLE = "2_clean/people.json"  # who is who in it
PINNED = "pinned.jsonl"  # an earlier split that a retrained model keeps
TOKENIZER = "3_tokenizer/tokenizer.json"
ENCODED = ("4_encoded/train.bin", "4_encoded/val.bin", "4_encoded/test.bin")
PRETRAINED = "5_pretrained/best"
DIALOGUES = ("6_dialogues/train.bin", "6_dialogues/val.bin", "6_dialogues/test.bin")
DIALOGUE_TEXTS = (
    "6_dialogues/train.jsonl",
    "6_dialogues/val.jsonl",
    "6_dialogues/test.jsonl",
)
FINETUNED = "7_finetuned/best"
MODEL = "model"
SCORES, SAMPLES, REPORT = EVALUATION = (
    "8_evaluation/scores.json",
    "8_evaluation/samples.md",
    "8_evaluation/report.html",
)
# What a model is; what else lies in its folder tells of it, and may be written anew.
MODEL_FILES = tuple(
    f"{MODEL}/{name}"
    for name in ("config.json", "model.safetensors", "tokenizer.json", "chat.json")
)
START = "start"  # a copy of the model that retraining begins from


@dataclass(frozen=True)
class Stage:
    """One stage.

    `needs` and `makes` are files and folders. `settings` are dotted names, or `section.*`;
    `finish` are those that shape only how the result is packaged, so that a half-trained model
    survives their change; `sources` are those that hold paths outside the workspace. Of `wants`, at
    least one must be set, otherwise the stage is skipped. `version` rises when the same input would
    give different bytes; `trains` marks the stages that share the budget.
    """

    number: int
    name: str
    folder: str
    title: str
    needs: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    version: int = 1
    trains: bool = False
    wants: tuple[str, ...] = ()

    @property
    def heading(self) -> tuple[str, str]:
        """What the screen says when it begins: its number and name, and what it does."""
        return f"{self.number} {self.name}", self.title


STAGES = (
    Stage(
        1,
        "parse",
        "1_messages",
        "read the exports",
        makes=(MESSAGES,),
        version=3,
        settings=("parse.*",),
        sources=("source.export",),
        wants=("source.export",),
    ),
    Stage(
        2,
        "clean",
        "2_clean",
        "clean and split",
        needs=(MESSAGES, PINNED),
        makes=(CLEAN, PEOPLE, "2_clean/removed.jsonl", "2_clean/rules.json"),
        version=3,
        settings=("clean.*", "source.persona"),
        wants=("source.export",),
    ),
    Stage(
        3,
        "tokenizer",
        "3_tokenizer",
        "train the tokenizer",
        needs=(CLEAN, f"{START}/tokenizer.json"),
        makes=(TOKENIZER, "3_tokenizer/vocab.txt"),
        settings=("tokenizer.*", "source.corpus_column", "source.base"),
        sources=("source.corpus", "source.base"),
    ),
    Stage(
        4,
        "encode",
        "4_encoded",
        "encode the text",
        needs=(CLEAN, TOKENIZER),
        makes=ENCODED,
        settings=("source.corpus_column",),
        sources=("source.corpus",),
        version=2,
    ),
    Stage(
        5,
        "pretrain",
        "5_pretrained",
        "learn the language",
        needs=(*ENCODED, TOKENIZER, f"{START}/model.safetensors"),
        makes=(PRETRAINED, "5_pretrained/log.jsonl"),
        version=3,
        settings=("model.*", "pretrain.*", "train.precision", "train.seed", "source.base"),
        sources=("source.base",),
        trains=True,
    ),
    Stage(
        6,
        "dialogues",
        "6_dialogues",
        "build the fine-tuning set",
        needs=(CLEAN, TOKENIZER, f"{PRETRAINED}/config.json"),
        makes=(*DIALOGUES, *DIALOGUE_TEXTS),
        version=3,
        settings=("dialogues.*", "source.persona"),
        sources=("dialogues.source",),
        wants=("source.export", "dialogues.source"),
    ),
    Stage(
        7,
        "finetune",
        "7_finetuned",
        "learn the persona's voice",
        needs=(PRETRAINED, *DIALOGUES, TOKENIZER),
        makes=(FINETUNED, *MODEL_FILES, "7_finetuned/log.jsonl"),
        version=3,
        settings=("finetune.*", "train.precision", "train.seed", "source.persona", "source.base"),
        finish=("chat.*",),
        trains=True,
        wants=("source.export", "dialogues.source"),
    ),
    Stage(
        8,
        "evaluate",
        "8_evaluation",
        "measure the likeness",
        needs=(*MODEL_FILES, *DIALOGUES, *DIALOGUE_TEXTS, *ENCODED),
        makes=EVALUATION,
        settings=("evaluate.*", "train.seed", "source.base"),
        version=4,
    ),
)


def select(words: tuple[str, ...]) -> list[Stage]:
    """The stages that words name: `3`, `3-5`, `tokenizer`; in order, each once."""
    chosen: set[int] = set()
    for word in words:
        first, _, last = word.partition("-")
        chosen.update(range(_number(first), _number(last or first) + 1))
    return [stage for stage in STAGES if stage.number in chosen]


def _number(word: str) -> int:
    for stage in STAGES:
        if word in (str(stage.number), stage.name):
            return stage.number
    known = ", ".join(f"{stage.number} {stage.name}" for stage in STAGES)
    raise SettingsError(f"There is no stage {word}; the stages are {known}.")


def by_name(word: str) -> Stage:
    """The one stage of a name or number."""
    return STAGES[_number(word) - 1]
