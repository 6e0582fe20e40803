"""Stage 3: learn a vocabulary from the training text alone, or adopt that of a pretrained base."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import minbpe
from minbpe.base import Tokenizer
from pipeline.common.errors import DataError
from pipeline.common.screen import Bar
from pipeline.dialogue import training_text
from pipeline.dialogue.template import SPECIAL
from pipeline.stages.runner import Task
from pipeline.training import base_model
from pipeline.workspace.stages import TOKENIZER

LEAST_BYTES = 2_000
GLANCE = 1 << 16  # bytes between two moves of the bar


def run(task: Task) -> dict[str, Any]:
    """Write `tokenizer.json`, and `vocab.txt` for people. Retraining keeps the tokenizer it has."""
    path = task.path(TOKENIZER)
    start = task.workspace.start()
    if start is not None:
        shutil.copyfile(start / "tokenizer.json", path)
        tokenizer: Tokenizer = minbpe.load(path)
        task.screen.note("kept from the model that is retrained")
    elif task.settings.source.base:
        tokenizer = base_model.tokenizer(task.settings.source.base)
        minbpe.save(tokenizer, path)
        task.screen.note("adopted from the base")
    else:
        tokenizer = _train(task)
        minbpe.save(tokenizer, path)
    minbpe.save_vocab(tokenizer, path.with_name("vocab.txt"))
    return {"tokens": tokenizer.size, "merges": len(tokenizer.merges)}


def _train(task: Task) -> minbpe.RegexTokenizer:
    from pipeline.training import auto

    with task.screen.bar("reading bytes", None) as bar:
        texts = _shown(training_text.learned(task.workspace), bar)
        size = sum(len(text.encode()) for text in texts)
    if size < LEAST_BYTES:
        raise DataError(
            f"There are only {size:,} bytes of training text, too little to learn a vocabulary "
            f"from (at least {LEAST_BYTES:,}); add exports, or a --corpus of plain text."
        )
    settings = task.settings.tokenizer
    wanted = auto.vocab_size(size) if settings.vocab_size == "auto" else settings.vocab_size
    with task.screen.bar("counting bytes", size, count=True) as bar:
        return minbpe.RegexTokenizer.train(
            _shown(training_text.learned(task.workspace), bar),
            wanted,
            settings.pattern,
            SPECIAL,
            _merging(bar),
            minimum_count=settings.minimum_count,
            sample=settings.sample,
        )


def _shown(found: Iterable[str], bar: Bar) -> Iterator[str]:
    """The same texts, with the bar moving as they are taken."""
    done = shown = 0
    for text in found:
        yield text
        done += len(text.encode())
        if done - shown >= GLANCE:
            bar.to(shown := done)


def _merging(bar: Bar) -> Callable[[int, int], None]:
    """What shows the merges, once the counting is over."""
    begun = False

    def show(done: int, limit: int) -> None:
        nonlocal begun
        if not begun:
            bar.begin("merging", limit)
            begun = True
        bar.to(done)

    return show
