"""Say what will be done and how long it takes, do what is not done yet, and show the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.common.files import write_json
from pipeline.common.screen import Screen
from pipeline.experiments.child_process import Runner, run_in_child
from pipeline.experiments.conclusions import conclusions
from pipeline.experiments.laboratory import Laboratory
from pipeline.experiments.planning import MIN_STEPS, Plan, load_plan, make_plan, plan_path
from pipeline.experiments.result_tables import final_tables, live_view
from pipeline.experiments.results import Results
from pipeline.experiments.results_page import write_page
from pipeline.experiments.training_text import TrainingText, load_text
from pipeline.experiments.trial import ROWS
from pipeline.experiments.variants import BASELINE, Family


def study(
    name: str,
    families: Sequence[Family],
    minutes: float,
    source: Path | None,
    folder: Path,
    screen: Screen,
    runner: Runner = run_in_child,
) -> list[Results]:
    """The results of some families; writes the page `NAME.md` and its pictures to the folder."""
    text = load_text(source, folder)
    path = plan_path(families, minutes, text, folder)
    plan = load_plan(path)
    if plan is None:
        screen.say(
            f"First, a step of each variant is timed, to see how much fits into {minutes:g} "
            "minutes (this time included)."
        )
        with screen.bar("timing a step of each variant", None):
            plan = make_plan(families, minutes, text, folder, runner)
        write_json(path, asdict(plan))
    laboratory = Laboratory(text, plan.steps, folder, runner)
    tokens = plan.steps * ROWS * int(BASELINE["block"])
    screen.say(
        f"{', '.join(family.name for family in families)}: about {plan.runs} runs of "
        f"{plan.steps:,} steps each ({tokens:,} tokens, {tokens / text.tokens[0]:.1f} epochs of "
        f"{text.name}), together about {plan.minutes:.0f} minutes on this machine."
    )
    if missing := laboratory.missing(families):
        screen.say(f"Variants still to run: {missing}. Ctrl-C is safe: finished runs are kept.")
    if plan.steps == MIN_STEPS:
        screen.warn(f"{minutes:g} minutes are short: runs have the minimum of {MIN_STEPS} steps")
    studied = []
    for family in families:
        with live_view(folder, screen) as watch:
            results = laboratory.study(family, watch)
        for table in final_tables(results):
            screen.console.print(table, "")
        for sentence in conclusions(results):
            screen.note(sentence.replace("**", ""))
        studied.append(results)
    page = folder / f"{name}.md"
    write_page(page, studied, _facts(studied, plan, tokens, text))
    screen.say(f"{page} holds the tables, the pictures and the conclusions.")
    return studied


def _facts(studied: Sequence[Results], plan: Plan, tokens: int, text: TrainingText) -> str:
    """What holds for all runs, and the machines that they ran on."""
    records = [r for s in studied for outcome in s.outcomes.values() for r in outcome.records]
    machines = {
        "{system}, {device}, threads: {threads}, Python {python}, torch {torch}".format(
            **record["machine"]
        )
        for record in records
        if "machine" in record
    }
    return (
        f"Text: {text.name}, {text.tokens[0]:,} tokens for training and {text.tokens[1]:,} for "
        f"validation, vocabulary {text.vocabulary:,}. Runs of {plan.steps:,} steps, at most "
        f"{tokens:,} tokens. Machine: {'; '.join(sorted(machines))}."
    )
