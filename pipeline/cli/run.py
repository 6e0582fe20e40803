"""What the verbs of the command line do."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from pipeline.common.errors import DataError, ExportError, SettingsError, WorkspaceError, one_line
from pipeline.common.screen import Screen
from pipeline.common.speakers import find_speaker
from pipeline.exports.merge import join_exports
from pipeline.exports.read_export import read_export
from pipeline.stages import runner
from pipeline.workspace import freshness, settings_file
from pipeline.workspace.settings import SMOLLM2, Parse, Settings
from pipeline.workspace.stages import MODEL, REPORT, STAGES, Stage, by_name
from pipeline.workspace.workspace import Workspace, default_path, newest
from transformer.packages import python, typed


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

    def settings(self) -> dict[str, Any]:
        """The settings to record, by dotted name; paths absolute."""
        named: dict[str, Any] = {
            "source.export": [str(p.resolve()) for p in self.export],
            "source.corpus": [str(p.absolute()) for p in self.corpus],
            "source.corpus_column": self.corpus_column,
            "source.persona": self.persona,
            "source.base": _base(self.base),
            "budget.minutes": self.minutes,
            "budget.epochs": self.epochs,
            "finetune.tune": self.tune or None,
        }
        found = {name: value for name, value in named.items() if value not in (None, [])}
        for change in self.changes:
            name, equals, value = change.partition("=")
            if not equals:
                raise SettingsError(f"--set {change}: write it as section.key=value.")
            found[name.strip()] = settings_file.parse_value(value.strip())
        return found

    def checked(self) -> Settings:
        """The defaults with these changes, for a verb that needs no workspace."""
        tree: dict[str, dict[str, Any]] = {}
        for name, value in self.settings().items():
            section, _, key = name.partition(".")
            tree.setdefault(section, {})[key] = value
        return settings_file.from_dict(tree, "--set")


def _base(named: str | None) -> str | None:
    """What `--base` names, checked: a model that lies here, its path absolute."""
    if not named:
        return named
    from pipeline.training import base_model

    path = base_model.find(named)
    return named if named == SMOLLM2 else str(path.absolute())


def run_stages(given: Given, stages: list[Stage], screen: Screen) -> Workspace:
    """Open (or make) the workspace, and run the stages that are not fresh."""
    workspace = opened(given, screen)
    if given.minutes is not None and workspace.settings.budget.epochs:
        screen.warn(
            "budget.epochs is set here, so --minutes changes nothing; "
            "`--set budget.epochs=0` goes by minutes again"
        )
    timed = given.minutes is not None or given.epochs is not None
    training = [s for s in stages if s.trains and workspace.applies(s)]
    runner.run(workspace, stages, screen, alone=timed and len(training) == 1)
    if by_name("evaluate") in stages and (workspace.path / MODEL).exists():
        screen.say(f"How alike it is: {typed(workspace.path / REPORT)}")
        screen.say(f"Talk with it:    {python()} chat.py {typed(workspace.path / MODEL)}")
    return workspace


def look_at_tokens(given: Given, sizes: str | None, text: str | None, screen: Screen) -> None:
    """Compare vocabularies on the training text, `text` the example; or else show its tokens."""
    from pipeline.cli import tokenizer_compare, tokenizer_show

    wanted = tokenizer_compare.parse_sizes(sizes) if sizes is not None else []
    named = bool(given.settings())
    workspace = opened(given, screen) if named else existing(given.workspace)
    with one_line():
        if not wanted:
            tokenizer_show.show(workspace, text or "", screen)
            return
        if named:
            runner.run(workspace, [by_name("parse"), by_name("clean")], screen)
        tokenizer_compare.compare(workspace, wanted, text or tokenizer_compare.SENTENCE, screen)


def existing(path: Path | None) -> Workspace:
    """The workspace of a path, or the one worked in last."""
    place = path or newest()
    if place is None:
        raise WorkspaceError(
            "There is no workspace yet; make one with "
            "`python -m pipeline run --export FILE --persona NAME`."
        )
    return Workspace(place)


def opened(given: Given, screen: Screen) -> Workspace:
    """The workspace a command line means, with what it named checked and recorded."""
    changes = given.settings()
    place = given.workspace or _place(given)
    known = settings_file.load(place / "workspace.toml") if place and _is_workspace(place) else None
    for path in (*given.export, *given.corpus):
        if not path.exists():
            option = "--export" if path in given.export else "--corpus"
            raise ExportError(f"There is no {path}; check the path given to {option}.")
    exports = given.export or tuple(map(Path, known.source.export if known else ()))
    parse = known.parse if known else given.checked().parse
    persona = given.persona or (known.source.persona if known else "")
    if given.export or (given.persona and exports):
        changes["source.persona"] = choose(persona, speakers(exports, parse), screen)
    place = place or (
        default_path(changes["source.persona"]) if given.export else existing(None).path
    )
    return Workspace.make(place, changes)


def _place(given: Given) -> Path | None:
    """Where a new workspace goes by default, as far as the command line tells."""
    if given.persona:
        return default_path(given.persona)
    if given.corpus and not given.export:
        return default_path(given.corpus[0].stem)
    return None


def _is_workspace(path: Path) -> bool:
    return (path / "workspace.toml").exists()


def speakers(exports: tuple[Path, ...], parse: Parse) -> Counter[str]:
    """Who speaks in the exports, with how many messages."""
    messages = join_exports(
        read_export(path, parse.date_order, parse.aliases).messages for path in exports
    )
    return Counter(m.sender for m in messages if m.sender is not None and m.kind == "text")


def choose(name: str, found: Counter[str], screen: Screen) -> str:
    """The persona as the chat writes it; asks in a terminal when none was named."""
    if name:
        return find_speaker(name, found)
    listed = found.most_common()
    if not sys.stdin.isatty():
        known = ", ".join(f"{who} ({count:,})" for who, count in listed[:12])
        raise DataError(f"Name the person to imitate with --persona; in this chat: {known}.")
    for number, (who, count) in enumerate(listed[:20], 1):
        screen.say(f"  {number:>2}  {who}  ({count:,} messages)")
    answer = click.prompt("Who shall be imitated (number or name)").strip()
    if answer.isdecimal() and 1 <= int(answer) <= len(listed):
        return listed[int(answer) - 1][0]
    return find_speaker(answer, found)


def status(workspace: Workspace, screen: Screen) -> None:
    """One line a stage."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "stage", "state", "what came out"):
        table.add_column(column)
    for stage in STAGES:
        state, style = _state(workspace, stage)
        counts = (workspace.record(stage) or {}).get("counts", {})
        told = ", ".join(f"{v:,} {k.replace('_', ' ')}" for k, v in list(counts.items())[:3])
        table.add_row(str(stage.number), stage.name, f"[{style}]{escape(state)}[/]", escape(told))
    screen.say(str(workspace.path))
    screen.console.print(table)


def _state(workspace: Workspace, stage: Stage) -> tuple[str, str]:
    if not workspace.applies(stage):
        return "nothing to do", "dim"
    reason = freshness.why(workspace, stage)
    return ("fresh", "green") if reason is None else (reason, "yellow")


def why(workspace: Workspace, name: str, screen: Screen) -> None:
    """One sentence."""
    stage = by_name(name)
    if not workspace.applies(stage):
        screen.say(f"{stage.name} has nothing to do without an export.")
        return
    reason = freshness.why(workspace, stage)
    screen.say(
        f"{stage.name} is fresh." if reason is None else f"{stage.name} would run: {reason}."
    )
