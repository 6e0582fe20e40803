"""What a person sees while stages run: one line a stage, progress bars, and notes in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RateColumn(ProgressColumn):
    """Finished units a second."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text(f"{rate:,.0f}/s" if rate and rate >= 1 else "", style="progress.data.speed")


class Bar:
    """One running progress bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def to(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Move to `done` (of a new `total`), with a few words of news beside it."""
        self._progress.update(self._task, completed=done, total=total)
        if note is not None:
            self._progress.update(self._task, note=note)

    def begin(self, title: str, total: float | None) -> None:
        """Start over with the next part of the work."""
        self._progress.reset(self._task, total=total, description=title)


class Screen:
    """The terminal. In a pipe or a file only finished lines appear, no moving bars."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """One plain line; brackets in it are text."""
        self.console.print(escape(text), style=style)

    def note(self, text: str) -> None:
        """An indented line below a stage."""
        self.say(f"    {text}", "dim")

    def warn(self, text: str) -> None:
        """Something to know before going on."""
        self.say(f"    ! {text}", "yellow")

    def stage(self, heading: tuple[str, str], state: str = "") -> None:
        """A stage begins, or is passed over for the reason given."""
        name, title = heading
        line = f"[bold]{name}[/bold]  {title}"
        self.console.print(line + (f"  [dim]· {escape(state)}[/dim]" if state else ""))

    def done(self, counts: Mapping[str, float], seconds: float) -> None:
        """A stage is whole."""
        results = ", ".join(f"{_number(v)} {k.replace('_', ' ')}" for k, v in counts.items())
        self.console.print(f"    [green]done[/green] in {seconds:.1f} s · {escape(results)}")

    @contextmanager
    def bar(self, title: str, total: float | None, *, count: bool = False) -> Iterator[Bar]:
        """A progress bar with rate and time left. `count`: show done/total as whole numbers."""
        columns: list[ProgressColumn] = [
            TextColumn("   "),
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            *([MofNCompleteColumn()] if count else []),
            RateColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        ]
        interactive = self.console.is_terminal
        with Progress(
            *columns, console=self.console, transient=True, disable=not interactive
        ) as progress:
            yield Bar(progress, progress.add_task(title, total=total, note=""))


def _number(value: float) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}"
