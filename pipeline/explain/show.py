"""The verb: find the topic, print its lesson, write its picture."""

from __future__ import annotations

import textwrap
from importlib import import_module
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from pipeline.common.errors import SettingsError
from pipeline.common.screen import Screen
from pipeline.explain import TOPICS, Asked, find
from pipeline.explain.lesson import Lesson, Table

WIDEST = 100  # characters of a paragraph


def explain(name: str, asked: Asked, out: Path | None, screen: Screen) -> None:
    """Print the lesson `name`, and write its picture to `out` or into the current folder."""
    picture = place(name, out)
    lesson = made(name, asked)
    show(lesson, screen.console)
    draw(lesson, picture)
    screen.say(f"The picture is in {picture}.")


def made(name: str, asked: Asked) -> Lesson:
    """The lesson; raises SettingsError for a topic that is not there or cannot be asked this."""
    find(name, asked)
    lesson: Lesson = import_module(f"pipeline.explain.{name}").explain(asked)
    return lesson


def place(name: str, out: Path | None) -> Path:
    """Where the picture goes: the file or folder named, else TOPIC.png here."""
    if out is None or out.is_dir():
        return (out or Path()) / f"{name}.png"
    if out.suffix.lower() != ".png":
        raise SettingsError(f"--out {out} must be a folder that exists, or a file ending in .png.")
    return out


def show_topics(screen: Screen) -> None:
    """All topics, a line each."""
    width = max(map(len, TOPICS))
    for name, topic in TOPICS.items():
        screen.say(f"{name:{width}}  {topic.about}")


def show(lesson: Lesson, console: Console) -> None:
    """The words and tables in order, then the sources."""
    console.print(lesson.title, style="bold", markup=False)
    for part in lesson.parts:
        console.print()
        if isinstance(part, Table):
            console.print(_grid(part), soft_wrap=False)
        else:
            _say(part, console)
    console.print()
    for source in lesson.sources:
        _say(source, console, "dim")


def _say(text: str, console: Console, style: str = "") -> None:
    for line in textwrap.wrap(text, min(console.width, WIDEST)):
        console.print(line, style=style, markup=False)


def _grid(table: Table) -> Grid:
    grid = Grid(
        box=box.SIMPLE_HEAD,
        title=Text(table.title),
        title_justify="left",
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for number, column in enumerate(table.columns):
        side: Literal["left", "right"] = "left" if number < table.left else "right"
        grid.add_column(Text(column), justify=side, overflow="fold")
    for row in table.rows:
        grid.add_row(*map(Text, row))
    return grid


def draw(lesson: Lesson, picture: Path) -> None:
    """Write the lesson's picture as a PNG."""
    from pipeline.explain.plots import save

    save(lesson.draw, lesson.size, picture)
