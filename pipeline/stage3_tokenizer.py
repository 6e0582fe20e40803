"""Stage 3: learn a vocabulary from the training text, and from nothing else."""

from __future__ import annotations

import shutil
from typing import Any

import minbpe
from minbpe.base import Tokenizer
from pipeline import texts
from pipeline.dialogue.template import SPECIAL
from pipeline.errors import DataError
from pipeline.runner import Task
from pipeline.stages import START, TOKENIZER

LEAST_BYTES = 2_000


def run(task: Task) -> dict[str, Any]:
    """Write `tokenizer.json`, and `vocab.txt` for people. Retraining keeps the tokenizer it has."""
    path = task.path(TOKENIZER)
    kept = task.path(f"{START}/tokenizer.json")
    if kept.exists():
        shutil.copyfile(kept, path)
        tokenizer: Tokenizer = minbpe.load(path)
        task.screen.note("kept from the model that is retrained")
    else:
        tokenizer = _train(task)
        tokenizer.save(path)
    tokenizer.save_vocab(path.with_name("vocab.txt"))
    return {"tokens": tokenizer.size, "merges": len(tokenizer.merges)}


def _train(task: Task) -> minbpe.RegexTokenizer:
    from pipeline.training import auto

    size = sum(len(text.encode()) for text in texts.learned(task.workspace))
    if size < LEAST_BYTES:
        raise DataError(
            f"There are only {size:,} bytes of training text, too little to learn a vocabulary "
            f"from (at least {LEAST_BYTES:,}); add exports, or a --corpus of plain text."
        )
    settings = task.settings.tokenizer
    wanted = auto.vocab_size(size) if settings.vocab_size == "auto" else settings.vocab_size
    with task.screen.bar("merging", None, count=True) as bar:
        return minbpe.RegexTokenizer.train(
            texts.learned(task.workspace), wanted, settings.pattern, SPECIAL, progress=bar.to
        )
