"""The options that verbs share, and `Given`: what a command line named with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

import click

from pipeline.common.errors import SettingsError
from pipeline.workspace import settings_file
from pipeline.workspace.settings import SMOLLM2
from pipeline.workspace.stages import Stage, select

P = ParamSpec("P")
PATH = click.Path(path_type=Path)

workspace = click.option(
    "--workspace", type=PATH, metavar="DIR", help="The folder of this person's data."
)
minutes = click.option("--minutes", type=float, metavar="M", help="Training time in all.")
changes = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change a setting of workspace.toml.",
)
SOURCES = (
    workspace,
    click.option(
        "--export",
        type=PATH,
        multiple=True,
        metavar="PATH",
        help="An exported chat (.txt, .zip or a folder); may be repeated.",
    ),
    click.option("--persona", metavar="NAME", help="Who is imitated."),
    click.option(
        "--corpus",
        type=PATH,
        multiple=True,
        metavar="PATH",
        help="Text to learn the language from (.txt, .jsonl, .parquet or a folder of them); may be"
        " repeated.",
    ),
    click.option("--corpus-column", metavar="NAME", help="Which column of its rows holds text."),
    click.option(
        "--base",
        metavar="BASE",
        help="A pretrained model to start from: smollm2, or a folder or GGUF file.",
    ),
    minutes,
    click.option("--epochs", type=float, metavar="E", help="Passes over the data."),
    click.option(
        "--tune", is_flag=True, help="Try ranks and rates first, for a part of the minutes."
    ),
    changes,
)


@dataclass(frozen=True)
class Given:
    """What a command line named; None or empty where it did not."""

    workspace: Path | None = None
    export: tuple[Path, ...] = ()
    persona: str | None = None
    corpus: tuple[Path, ...] = ()
    corpus_column: str | None = None
    base: str | None = None
    minutes: float | None = None
    epochs: float | None = None
    tune: bool = False
    changes: tuple[str, ...] = ()

    def settings(self) -> dict[str, object]:
        """The settings to record, by dotted name; paths absolute."""
        named = {
            "source.export": [str(path.resolve()) for path in self.export],
            "source.corpus": [str(path.absolute()) for path in self.corpus],
            "source.corpus_column": self.corpus_column,
            "source.persona": self.persona,
            "source.base": self.base and _checked_base(self.base),
            "budget.minutes": self.minutes,
            "budget.epochs": self.epochs,
            "finetune.tune": self.tune or None,
        }
        given = {name: value for name, value in named.items() if value not in (None, [])}
        return given | parse_changes(self.changes)


def parse_changes(changes: tuple[str, ...]) -> dict[str, object]:
    """What `--set` names, by dotted name."""
    parsed: dict[str, object] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise SettingsError(f"--set {change}: write it as section.key=value.")
        parsed[name.strip()] = settings_file.parse_value(value.strip())
    return parsed


def _checked_base(name: str) -> str:
    """The base that `--base` names, which must be here; a path becomes absolute."""
    from pipeline.training import base_model

    path = base_model.find(name)
    return name if name == SMOLLM2 else str(path.absolute())


def sources(command: Callable[Concatenate[Given, P], None]) -> Callable[..., None]:
    """Adds the options that say what is learned from; the command gets them as one `Given`."""

    @wraps(command)
    def with_given(*args: P.args, **values: P.kwargs) -> None:
        named = {field.name: values.pop(field.name) for field in fields(Given)}
        command(Given(**named), *args, **values)  # type: ignore[arg-type]

    decorated: Callable[..., None] = with_given
    for option in reversed(SOURCES):
        decorated = option(decorated)
    return decorated


def chosen_stages(words: tuple[str, ...], given: Given) -> list[Stage]:
    """The stages that words name; SettingsError for other words, such as a second path."""
    for word in words:
        try:
            select((word,))
        except SettingsError:
            refuse_path(word, given)
            raise
    return select(words)


def refuse_path(word: str, given: Given) -> None:
    """SettingsError for a word that follows a path as if its option took several."""
    for option, paths in (("--export", given.export), ("--corpus", given.corpus)):
        if paths:
            raise SettingsError(
                f"{word} is no stage; to give several files, repeat the option: "
                f"{option} {paths[0]} {option} {word}."
            )
