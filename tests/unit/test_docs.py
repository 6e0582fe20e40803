"""Docs that cannot lie: every setting, verb, stage and chat command has its page and is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline import settings
from pipeline.__main__ import cli
from pipeline.cleaning.rules import RULES
from pipeline.serving.terminal import HELP
from pipeline.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_settings_page_is_what_the_program_knows():
    again = "run `python -m pipeline.settings > docs/settings.md`"
    assert text("docs/settings.md") == settings.reference(), again


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_has_a_page_that_names_what_it_makes(stage):
    page = text(f"docs/stage{stage.number}-{stage.name}.md")
    for made in stage.makes:
        assert Path(made).name in page, made


def test_every_verb_is_in_the_readme():
    readme = text("README.md")
    for name, command in cli.commands.items():
        assert command.hidden or f"pipeline {name}" in readme, name


def test_every_chat_command_is_on_its_page():
    page = text("docs/chat.md")
    for line in HELP.splitlines():
        assert line.split()[0] in page


def test_every_cleaning_rule_is_on_its_page():
    page = text("docs/stage2-clean.md")
    assert all(f"`{rule}`" in page for rule in RULES)


@pytest.mark.parametrize("page", [*DOCS.glob("*.md"), ROOT / "README.md"], ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
