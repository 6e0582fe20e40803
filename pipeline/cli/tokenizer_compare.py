"""`tokenizer --compare`: vocabulary size against sequence length, before anything is trained.

A large vocabulary makes sequences short and the embedding large. The figures of each way to cut
the workspace's training text are from `tokenizer_figures.py`; here they become a table, examples,
a plot, and what `auto` picks and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from minbpe.base import BYTES
from pipeline.cli.tokenizer_figures import Counts, Row, count, measure
from pipeline.cli.tokenizer_show import coloured
from pipeline.common.errors import SettingsError, WorkspaceError
from pipeline.common.screen import Screen
from pipeline.workspace import freshness
from pipeline.workspace.settings import Settings
from pipeline.workspace.stages import TOKENIZER, by_name
from pipeline.workspace.workspace import Workspace, make_private

SENTENCE = "Text encoding is an important step that affects later stages in the pipeline."
PICTURE = str(Path(TOKENIZER).with_name("compare.png"))
LARGEST = 1 << 20
BESIDE = 24  # columns that stand beside an example


def parse_sizes(given: str) -> list[int]:
    """`512,1024` as numbers, in order, each once; SettingsError for what is no vocabulary."""
    try:
        sizes = sorted({int(word) for word in given.split(",")})
    except ValueError:
        raise SettingsError(
            f"--compare {given}: give sizes with commas between, such as 512,1024,4096."
        ) from None
    if not BYTES <= sizes[0] <= sizes[-1] <= LARGEST:
        raise SettingsError(
            f"--compare {given}: a vocabulary has {BYTES} (the bytes) to {LARGEST:,} tokens."
        )
    return sizes


def compare(workspace: Workspace, sizes: Sequence[int], sentence: str, screen: Screen) -> None:
    """Measure, show the table and the examples, and draw `3_tokenizer/compare.png`."""
    from pipeline.cli.tokenizer_plot import draw_vocabulary

    _refuse_unclean(workspace)
    counts = count(workspace, screen)
    rows = measure(workspace, counts, sizes, sentence, screen)
    _show_table(rows, counts, screen)
    _show_examples(rows, screen)
    for line in reasons(rows, counts, sizes, workspace.settings):
        screen.console.print(Text(line), soft_wrap=False)
    picture = workspace.path / PICTURE
    picture.parent.mkdir(exist_ok=True)
    make_private(picture.parent)
    draw_vocabulary(rows, picture)
    screen.say(f"Plot: {picture}")


def reasons(
    rows: Sequence[Row], counts: Counts, sizes: Sequence[int], settings: Settings
) -> list[str]:
    """What `auto` picks and why; what else is to know about the table."""
    from pipeline.training import auto

    choice, total = auto.vocab_size(counts.total_bytes), counts.total_bytes
    picked = next(row for row in rows if row.picked)
    below = [limit for limit, size in auto.VOCABULARY if size < choice]
    above = [limit for limit, size in auto.VOCABULARY if size == choice]
    span = [f"from {_amount(limit)}" for limit in below[-1:]]
    span += [f"up to {_amount(limit)}" for limit in above]
    lines = [
        f"auto picks {choice:,}: the training text has {_amount(total)}, and {' '.join(span)} that "
        f"leaves enough examples of each token; the embedding is {picked.embedding:.0%} of the "
        "decoder."
    ]
    named = settings.tokenizer.vocab_size
    if named != "auto":
        lines.append(f"tokenizer.vocab_size is set to {named:,}, so that is what stage 3 trains.")
    largest = max(row.size for row in rows if row.level == "byte pairs")
    if largest < max(*sizes, choice):
        lines.append(f"The text has pairs for no more than {largest:,} tokens.")
    if counts.bytes < total:
        lines.append(f"Measured on the first {_amount(counts.bytes)}.")
    return lines


def _refuse_unclean(workspace: Workspace) -> None:
    clean = by_name("clean")
    reason = freshness.why(workspace, clean) if workspace.applies(clean) else None
    if reason is not None:
        raise WorkspaceError(
            f"The training text comes from stage 2 (clean), which is out of date: {reason}; "
            "run `python -m pipeline 1-2`."
        )


def _show_table(rows: Sequence[Row], counts: Counts, screen: Screen) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("cut into")
    for column in ("vocabulary", "tokens", "tokens/word", "bytes/token", "embedding"):
        table.add_column(column, justify="right")
    table.add_column("")
    for row in rows:
        figures = (f"{row.tokens_per_word:.2f}", f"{row.bytes_per_token:.2f}")
        table.add_row(
            row.level,
            f"{row.size:,}",
            f"{row.tokens:,}",
            *figures,
            f"{row.embedding:.1%}",
            "← auto" if row.picked else "",
            style="bold" if row.picked else "",
        )
    screen.say(f"{_amount(counts.bytes)} of training text, {counts.words:,} words")
    screen.console.print(table)


def _show_examples(rows: Sequence[Row], screen: Screen) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for justify in ("left", "right"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        name = f"{row.size:,}" if row.level == "byte pairs" else row.level
        example = coloured(row.example, screen.console, screen.console.width - BESIDE)
        table.add_row(name, f"{len(row.example)} tokens", example)
    screen.say("")
    screen.console.print(table, soft_wrap=False)
    screen.say("")


def _amount(size: int) -> str:
    """Bytes as people say them."""
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.3g} {unit}"
    return f"{size} bytes"
