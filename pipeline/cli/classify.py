"""`classify train` and `classify predict`: a classifier of texts."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.common.screen import Screen

PATH = click.Path(path_type=Path)
text_column = click.option("--text-column", default="text", metavar="NAME", show_default=True)
label_column = click.option("--label-column", default="label", metavar="NAME", show_default=True)


@click.group()
def classify() -> None:
    """Train a classifier of texts on a table of examples, and label texts with it."""


@classify.command()
@click.argument("file", type=PATH)
@click.option("--from", "start", metavar="PATH", help="A model's folder, a GGUF file, or smollm2.")
@text_column
@label_column
@click.option("--out", default="classifier", type=PATH, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the split and of the training.")
def train(
    file: Path, start: str | None, text_column: str, label_column: str, out: Path, seed: int
) -> None:
    """Learn labels from FILE, a CSV with a text and a label a row."""
    from pipeline.classify import train_and_predict

    columns = train_and_predict.Columns(text_column, label_column)
    train_and_predict.train(file, columns, start, out, seed, Screen())


@classify.command()
@click.argument("file", type=PATH)
@click.option("--model", default="classifier", type=PATH, show_default=True)
@text_column
@label_column
def predict(file: Path, model: Path, text_column: str, label_column: str) -> None:
    """Label the texts of FILE, into FILE.predicted.csv."""
    from pipeline.classify import train_and_predict

    train_and_predict.predict(
        file, train_and_predict.Columns(text_column, label_column), model, Screen()
    )
