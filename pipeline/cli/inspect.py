"""`inspect`: one screen about an export before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from pipeline.cli import shared_options
from pipeline.cli.inspect_findings import (
    Findings,
    Speaker,
    find,
    format_confidence,
    skipped,
    to_dict,
    verdict,
)
from pipeline.common.screen import Screen
from pipeline.exports.aliases import advice
from pipeline.workspace import settings_file
from pipeline.workspace.settings import Settings

SHOWN = 12  # speakers on the screen
FEW = 3  # named in a verdict


@click.command()
@click.argument("paths", nargs=-1, required=True, type=shared_options.PATH)
@click.option("--json", "as_json", is_flag=True, help="For another program.")
@shared_options.changes
def inspect(paths: tuple[Path, ...], as_json: bool, changes: tuple[str, ...]) -> None:
    """Who speaks in an export, what would be skipped, and whether it is enough to learn from."""
    settings = settings_file.changed(Settings(), shared_options.parse_changes(changes), "--set")
    findings = find(paths, settings.parse.date_order, settings.parse.aliases)
    if as_json:
        click.echo(json.dumps(to_dict(findings), ensure_ascii=False, indent=2))
    else:
        show(findings, Screen())


def show(findings: Findings, screen: Screen) -> None:
    """One screen: the files, who speaks, what was skipped, and what it is enough for."""
    for chat in findings.report.chats:
        form = f", {chat.header.strip()}" if chat.header else ""
        days = f"{chat.first_day} to {chat.last_day}"
        screen.say(f"{chat.file}: {chat.platform}{form}, {days}; {format_confidence(chat)}")
    screen.console.print(_table(findings))
    if skipped(findings):
        reasons = ", ".join(f"{count:,} {why}" for count, why in skipped(findings))
        screen.say(f"Not speech: {reasons}.")
    _show_doubts(findings, screen)
    for line in verdicts(findings):
        screen.say(line)


def verdicts(findings: Findings) -> list[str]:
    """One sentence a verdict, with whom it is about; the last says who can be imitated."""
    by_verdict: dict[str, list[Speaker]] = {}
    for speaker in findings.speakers:
        by_verdict.setdefault(verdict(speaker, findings.words), []).append(speaker)
    enough = [speaker for speaker in findings.speakers if speaker.is_enough]
    who = _listed(enough, SHOWN) if enough else "nobody"
    last = f"Enough text to be imitated: {who} ({len(enough)} of {len(findings.speakers)})."
    return [*(f"{_listed(group, FEW)}: {words}." for words, group in by_verdict.items()), last]


def _listed(speakers: Sequence[Speaker], limit: int) -> str:
    """Names, `limit` at most; of a single person also how much they wrote."""
    if len(speakers) == 1 and limit == FEW:
        (one,) = speakers
        return f"{one.name}: {one.messages:,} messages, {one.words:,} words"
    more = f" and {len(speakers) - limit:,} more" if len(speakers) > limit else ""
    return ", ".join(speaker.name for speaker in speakers[:limit]) + more


def _table(findings: Findings) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("who", "messages", "words", "emoji", "bursts", "first", "last"):
        is_text = column in ("who", "first", "last")
        table.add_column(column, justify="left" if is_text else "right", overflow="fold")
    for speaker in findings.speakers[:SHOWN]:
        counts = (speaker.messages, speaker.words, speaker.emoji, speaker.bursts)
        days = (str(speaker.first), str(speaker.last))
        table.add_row(escape(speaker.name), *(f"{n:,}" for n in counts), *days)
    rest = findings.speakers[SHOWN:]
    if rest:
        messages, words = sum(s.messages for s in rest), sum(s.words for s in rest)
        table.add_row(f"{len(rest):,} more", f"{messages:,}", f"{words:,}")
    return table


def _show_doubts(findings: Findings, screen: Screen) -> None:
    unknown = sum(chat.unknown for chat in findings.report.chats)
    if unknown:
        examples = [text for chat in findings.report.chats for text in chat.examples][:3]
        shown = " | ".join(example.partition("\n")[0][:80] for example in examples)
        screen.say(f"Looks like the app's words, in no table, not learned: {unknown:,}: {shown}")
    if findings.pairs:
        screen.say(f"One person? If so, {advice(findings.pairs[:SHOWN])}.")
