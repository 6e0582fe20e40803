"""The verb `explain`: print a lesson and write its picture."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from pipeline.common.errors import SettingsError
from pipeline.common.screen import Screen
from pipeline.explain.lesson import Lesson, Request, Table
from pipeline.explain.topics import TOPICS, load_lesson

MAX_WIDTH = 100  # characters of a line of text


def explain(name: str, request: Request, out: Path | None, screen: Screen) -> None:
    """Print the lesson `name`; write its picture to `out` (a file or folder), else to NAME.png."""
    picture = out or Path()
    if picture.is_dir():
        picture /= f"{name}.png"
    elif picture.suffix.lower() != ".png":
        raise SettingsError(f"--out {out} must be an existing folder, or a file ending in .png.")
    lesson = load_lesson(name, request)
    show(lesson, screen.console)
    from pipeline.explain.figures import save_picture

    save_picture(lesson.draw, lesson.size, picture)
    screen.say(f"The picture is in {picture}.")


def show_topics(screen: Screen) -> None:
    """All topics, one per line."""
    width = max(map(len, TOPICS))
    for name, topic in TOPICS.items():
        screen.say(f"{name:{width}}  {topic.about}")


def show(lesson: Lesson, console: Console) -> None:
    """Print the paragraphs and tables in order, then the sources."""
    console.print(lesson.title, style="bold", markup=False)
    for part in lesson.parts:
        console.print()
        if isinstance(part, Table):
            console.print(_grid(part), soft_wrap=False)
        else:
            _print_wrapped(part, console)
    console.print()
    for source in lesson.sources:
        _print_wrapped(source, console, "dim")


def _print_wrapped(text: str, console: Console, style: str = "") -> None:
    for line in textwrap.wrap(text, min(console.width, MAX_WIDTH)):
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
