"""Say what will be done and how long it takes, do what is not done yet, and show all of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.common.screen import Screen
from pipeline.experiments import claims, conclusions, plan, plots, table, text
from pipeline.experiments.families import BASELINE, Family
from pipeline.experiments.laboratory import Laboratory
from pipeline.experiments.live import shown
from pipeline.experiments.plan import Plan
from pipeline.experiments.process import Runner, in_child
from pipeline.experiments.results import Results
from pipeline.experiments.text import Text
from pipeline.experiments.trial import ROWS


def study(
    name: str,
    families: Sequence[Family],
    minutes: float,
    named: Path | None,
    folder: Path,
    screen: Screen,
    runner: Runner = in_child,
) -> list[Results]:
    """The results of some families, with the page `NAME.md` and its pictures in the folder."""
    found = text.find(named, folder)
    planned = _planned(families, minutes, found, folder, screen, runner)
    laboratory = Laboratory(found, planned.steps, folder, runner)
    _announce(families, planned, laboratory, screen)
    if planned.steps == plan.FEWEST:
        screen.warn(f"{minutes:g} minutes are short: fewer steps than these would show nothing")
    studied = [_studied(family, laboratory, screen) for family in families]
    pictures = [picture for results in studied for picture in plots.draw(results, folder)]
    page = folder / f"{name}.md"
    conclusions.write_page(page, studied, _facts(studied, planned, found), pictures)
    screen.say(f"{page} holds the tables, the pictures and what may be concluded.")
    return studied


def _planned(
    families: Sequence[Family],
    minutes: float,
    found: Text,
    folder: Path,
    screen: Screen,
    runner: Runner,
) -> Plan:
    """The plan of this command, made the first time that it is given."""
    path = plan.path_of(families, minutes, found, folder)
    known = plan.known(path)
    if known is not None:
        return known
    screen.say(
        f"First a step of each variant is timed, to see how much fits into {minutes:g} minutes "
        "(this time included)."
    )
    with screen.bar("timing a step of each variant", None):
        made = plan.made(families, minutes, found, folder, runner)
    plan.keep(made, path)
    return made


def _announce(
    families: Sequence[Family], planned: Plan, laboratory: Laboratory, screen: Screen
) -> None:
    missing = laboratory.missing(families)
    passes = _tokens(planned) / laboratory.text.tokens[0]
    names = ", ".join(family.name for family in families)
    screen.say(
        f"{names}: about {planned.runs} runs of {planned.steps:,} steps each ({_tokens(planned):,} "
        f"tokens, {passes:.1f} passes over {laboratory.text.name}), together about "
        f"{planned.minutes:.0f} minutes on this machine."
    )
    if missing:
        screen.say(f"Not tried yet: {missing} variants. Ctrl-C is safe: what is done stays.")


def _tokens(planned: Plan) -> int:
    return planned.steps * ROWS * int(BASELINE["block"])


def _studied(family: Family, laboratory: Laboratory, screen: Screen) -> Results:
    """Do a family, and print it."""
    with shown(laboratory.folder, screen) as watch:
        found = laboratory.study(family, watch)
    for each in table.whole(found):
        screen.console.print(each, "")
    for sentence in conclusions.sentences(found):
        screen.note(sentence.replace("**", ""))
    for line in claims.compared(found):
        screen.note(f"Beside the courses. {line}".replace("**", ""))
    return found


def _facts(studied: Sequence[Results], planned: Plan, found: Text) -> str:
    """What holds for all runs, and the machines that they ran on."""
    machines = {
        _machine(r["machine"]) for s in studied for o in s.outcomes.values() for r in o.runs
    }
    return (
        f"Text: {found.name}, {found.tokens[0]:,} tokens to learn from and {found.tokens[1]:,} to "
        f"validate with, vocabulary {found.vocabulary:,}. Runs of {planned.steps:,} steps, at most "
        f"{_tokens(planned):,} tokens. Machine: {'; '.join(sorted(machines))}."
    )


def _machine(facts: dict[str, Any]) -> str:
    return (
        f"{facts['system']}, {facts['device']}, threads: {facts['threads']}, Python "
        f"{facts['python']}, torch {facts['torch']}"
    )
