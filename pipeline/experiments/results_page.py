"""The page of results with its plots, and how it gets into a page of the docs.

python -m pipeline.experiments.results_page workspaces/laboratory/all.md docs/laboratory.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.common.errors import DataError, SoundalikeError
from pipeline.common.files import atomic
from pipeline.experiments.conclusions import conclusions
from pipeline.experiments.result_tables import markdown
from pipeline.experiments.results import Outcome, Results
from pipeline.experiments.trial import NEW_TOKENS

SIZE, DPI = (9, 5), 110
BEGIN = "<!-- results: begin (written by python -m pipeline.experiments.results_page) -->"
END = "<!-- results: end -->"
USAGE = "usage: python -m pipeline.experiments.results_page RESULTS.md PAGE.md"
PICTURE = re.compile(r"^(!\[.*\])\((.+\.png)\)$", re.MULTILINE)


def write_page(path: Path, studied: Sequence[Results], facts: str) -> None:
    """Everything that was found as Markdown, with pictures beside it."""
    with atomic(path) as file:
        file.write(f"{facts}\n")
        for results in studied:
            family = results.family
            file.write(f"\n## {family.name}\n\n{family.question}\n\n{markdown(results)}\n\n")
            file.writelines(f"- {sentence}\n" for sentence in conclusions(results))
            pictures = _draw(results, path.parent)
            file.writelines(f"\n![{picture.stem}]({picture.name})\n" for picture in pictures)


def _draw(results: Results, folder: Path) -> list[Path]:
    """Write the plots of a family; returns those that there was data for."""
    family, pictures = results.family, []
    for kind, plot in (("loss", _plot_losses), ("speed", _plot_speeds)):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.set_title(f"{family.name}: {family.question}")
        axes.grid(alpha=0.3)
        plot(axes, list(results.outcomes.values()))
        if axes.lines:
            axes.legend(frameon=False, fontsize="small", ncols=2)
            picture = folder / f"{family.name}-{kind}.png"
            with atomic(picture, "wb") as file:
                figure.savefig(file, format="png", dpi=DPI)
            pictures.append(picture)
    return pictures


def _plot_losses(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    """Of the first seed: validation loss against tokens, training loss as a thin dotted line."""
    axes.set(xlabel="tokens trained on", ylabel="loss, nats per token")
    for number, outcome in enumerate(outcomes):
        if curve := outcome.first.get("curve"):
            before = outcome.first["tokens"] - curve[-1]["tokens"]  # of the model it started from
            tokens, colour = [before + row["tokens"] for row in curve], f"C{number % 10}"
            style, label = "-" if number < 10 else "-.", outcome.variant.label
            axes.plot(tokens, [r["val_loss"] for r in curve], style, color=colour, label=label)
            training = [r["train_loss"] for r in curve]
            axes.plot(tokens, training, ":", color=colour, linewidth=0.8, alpha=0.6)


def _plot_speeds(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    """New tokens per second, against their number."""
    axes.set(xlabel="new tokens", ylabel="new tokens per second", xscale="log")
    axes.set_xticks(NEW_TOKENS, [f"{length:,}" for length in NEW_TOKENS])
    for number, outcome in enumerate(outcomes):
        if rates := outcome.first.get("generation"):
            style = "o-" if number < 10 else "o-."
            lengths = [int(length) for length in rates]
            axes.plot(lengths, list(rates.values()), style, label=outcome.variant.label)
    axes.set_ylim(bottom=0)


def insert(results: Path, page: Path) -> None:
    """Replace what is between the two marks of a page; copy the pictures to `pictures/` beside it,
    with the name of the page in front, so that pages do not overwrite each other's."""
    head, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise DataError(f"{page} has no place for results: it needs the lines {BEGIN} and {END}.")
    text = results.read_text(encoding="utf-8").strip()
    copies = {name: f"pictures/{page.stem}-{name}" for _, name in PICTURE.findall(text)}
    for name, copy in copies.items():
        with atomic(page.parent / copy, "wb") as file:
            file.write((results.parent / name).read_bytes())
    text = PICTURE.sub(lambda match: f"{match[1]}({copies[match[2]]})", text)
    text = re.sub(r"^## ", "### ", text, flags=re.MULTILINE)  # below the page's own heading
    with atomic(page) as file:
        file.write(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")


def main(words: Sequence[str]) -> str | None:
    """Returns what went wrong, in one line."""
    if len(words) != 2:
        return USAGE
    try:
        insert(*map(Path, words))
    except (SoundalikeError, OSError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
