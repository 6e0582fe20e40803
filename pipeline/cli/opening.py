"""The workspace that a command line means: made or opened, and its settings recorded."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from pipeline.cli.shared_options import Given
from pipeline.common.errors import DataError, ExportError
from pipeline.common.screen import Screen
from pipeline.common.speakers import find_speaker
from pipeline.workspace import settings_file
from pipeline.workspace.export_store import ExportStore
from pipeline.workspace.settings import Settings
from pipeline.workspace.workspace import Workspace, default_path, find_workspace

LISTED, OFFERED = 12, 20  # speakers named in an error, and offered to choose from


def opened(given: Given, screen: Screen) -> Workspace:
    """The workspace a command line means, with what it named checked and recorded.

    Exports are read here already where the persona must be looked for in them; the workspace keeps
    what was read for stage 1.
    """
    for option, paths in (("--export", given.export), ("--corpus", given.corpus)):
        for path in paths:
            if not path.exists():
                raise ExportError(f"There is no {path}; check the path given to {option}.")
    changes = given.settings()
    place = given.workspace or _default_place(given)
    toml = place / "workspace.toml" if place else None
    before = settings_file.load(toml) if toml and toml.exists() else Settings()
    after = settings_file.changed(before, changes, str(toml or "--set"))
    exports = None
    if given.export or (given.persona and after.source.export):
        exports = ExportStore(after)
        changes["source.persona"] = choose(after.source.persona, exports.speakers(), screen)
    if place is None:
        named = str(changes["source.persona"]) if given.export else None
        place = default_path(named) if named else find_workspace(None)
    workspace = Workspace.make(place, changes)
    if exports is not None:
        workspace.exports = exports
    return workspace


def _default_place(given: Given) -> Path | None:
    """Where a new workspace goes by default, as far as the command line tells."""
    if given.persona:
        return default_path(given.persona)
    if given.corpus and not given.export:
        return default_path(given.corpus[0].stem)
    return None


def choose(name: str, speakers: Mapping[str, int], screen: Screen) -> str:
    """The persona as the chat writes it; asks in a terminal when none was named."""
    if name:
        return find_speaker(name, speakers)
    ordered = sorted(speakers.items(), key=lambda item: -item[1])
    if not sys.stdin.isatty():
        known = ", ".join(f"{who} ({count:,})" for who, count in ordered[:LISTED])
        raise DataError(f"Name the person to imitate with --persona; in this chat: {known}.")
    for number, (who, count) in enumerate(ordered[:OFFERED], 1):
        screen.say(f"  {number:>2}  {who}  ({count:,} messages)")
    answer = click.prompt("Whom should the model imitate (number or name)").strip()
    if answer.isdecimal() and 1 <= int(answer) <= len(ordered):
        return ordered[int(answer) - 1][0]
    return find_speaker(answer, speakers)
