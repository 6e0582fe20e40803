"""Stage 3: train a tokenizer on the training text alone, or adopt that of a pretrained base."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator

import minbpe
from minbpe.base import Tokenizer
from pipeline.common.errors import DataError
from pipeline.common.screen import Bar
from pipeline.dialogue import training_text
from pipeline.dialogue.template import SPECIAL
from pipeline.stages.runner import Task
from pipeline.training import base_model
from pipeline.workspace.record import Counts
from pipeline.workspace.stages import TOKENIZER

MIN_BYTES = 2_000
BAR_STEP = 1 << 16  # bytes between two updates of the bar


def run(task: Task) -> Counts:
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
        texts = _watched(training_text.for_vocabulary(task.workspace), bar)
        size = sum(len(text.encode()) for text in texts)
    if size < MIN_BYTES:
        raise DataError(
            f"There are only {size:,} bytes of training text, too little to learn a vocabulary "
            f"from (at least {MIN_BYTES:,}); add exports, or a --corpus of plain text."
        )
    settings = task.settings.tokenizer
    vocab_size = auto.vocab_size(size) if settings.vocab_size == "auto" else settings.vocab_size
    with task.screen.bar("counting bytes", size, count=True) as bar:
        return minbpe.RegexTokenizer.train(
            _watched(training_text.for_vocabulary(task.workspace), bar),
            vocab_size,
            settings.pattern,
            SPECIAL,
            _merging(bar),
            minimum_count=settings.minimum_count,
            sample=settings.sample,
        )


def _watched(texts: Iterable[str], bar: Bar) -> Iterator[str]:
    """The same texts, with the bar moving as they are read."""
    done = shown = 0
    for text in texts:
        yield text
        done += len(text.encode())
        if done - shown >= BAR_STEP:
            bar.to(shown := done)


def _merging(bar: Bar) -> Callable[[int, int], None]:
    """Shows the merges on the bar, from the first one on in place of the counting."""
    is_merging = False

    def show(done: int, limit: int) -> None:
        nonlocal is_merging
        if not is_merging:
            bar.begin("merging", limit)
            is_merging = True
        bar.to(done)

    return show
