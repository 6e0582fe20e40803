"""Docs that cannot lie: every setting, verb, stage and chat command has its page and is in it."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path

import pytest

from pipeline.__main__ import cli
from pipeline.cleaning.message_rules import RULES
from pipeline.cli.demo import SAMPLES
from pipeline.cli.shared_options import parse_changes
from pipeline.serving.terminal import HELP
from pipeline.workspace import settings_file
from pipeline.workspace.settings import Settings
from pipeline.workspace.stages import STAGES, select

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_settings_page_is_what_the_program_knows():
    again = "run `python -m pipeline.workspace.settings_file > docs/settings.md`"
    assert text("docs/settings.md") == settings_file.reference(), again


ROOMS = ("pipeline", "minbpe", "transformer", "bench", "tests")
PYTHON = [ROOT / "chat.py", *(path for room in ROOMS for path in ROOT.glob(f"{room}/**/*.py"))]
OTHERS = {"model.py", "train.py", "openai_public.py", "stageN_name.py"}  # peers' files, a pattern


def test_files_that_pages_and_docstrings_name_exist():
    names = ["/" + path.relative_to(ROOT).as_posix() for path in PYTHON]
    product = [path for path in PYTHON if path.relative_to(ROOT).parts[0] not in ("bench", "tests")]
    for page in (ROOT / "README.md", *DOCS.glob("*.md"), *product):
        for named in re.findall(r"(?<![\w/.-])(?:\w+/)*\w+\.py\b", page.read_text("utf-8")):
            there = any(name.endswith(f"/{named}") for name in names)
            assert there or Path(named).name in OTHERS, f"{page.relative_to(ROOT)}: {named}"


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_has_a_page_that_names_what_it_makes(stage):
    page = text(f"docs/stage{stage.number}-{stage.name}.md")
    for made in stage.makes:
        assert Path(made).name in page, made


def test_every_verb_is_in_the_readme():
    readme = text("README.md")
    for name in cli.verbs:
        assert f"pipeline {name}" in readme, name


def test_the_demo_has_samples_to_show():
    assert any(SAMPLES.glob("*.txt"))


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


NOTEBOOK = json.loads((DOCS / "colab.ipynb").read_text(encoding="utf-8"))
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
COMMAND = re.compile(r"(?:python|torchrun [^\n`]*?) -m pipeline ([^\n`]*)")


def plain(cell: str) -> str:
    """A cell as Python: its commands are comments, and long ones are one line."""
    return re.sub(r"^([!%])", r"# \1", cell.replace("\\\n", " "), flags=re.MULTILINE)


def commands(text: str) -> list[str]:
    return COMMAND.findall(re.sub(r" *\\\n *", " ", text))


def parsed(command: str) -> tuple[str, dict[str, object]]:
    """A verb and what it is given, as the command line understands it, without running it."""
    context = cli.make_context("pipeline", shlex.split(command))
    name, verb, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
    assert verb is not None
    given = verb.make_context(name, rest, parent=context).params
    if words := given.get("words"):
        assert select(words)
    changes = parse_changes(given.get("changes", ()))
    settings_file.changed(Settings(), changes, command)  # refuses a setting that is not there
    return name or "", given


def test_the_notebook_is_whole_and_keeps_no_output():
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
    for cell in NOTEBOOK["cells"]:
        wanted = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            wanted |= {"execution_count", "outputs"}
            assert not cell["outputs"]
            assert cell["execution_count"] is None
        assert set(cell) == wanted
        assert all(line.endswith("\n") for line in cell["source"][:-1])


def test_every_cell_of_the_notebook_is_python_and_its_commands_are_ours():
    for cell in CELLS:
        ast.parse(plain(cell))
    values: dict[str, object] = {}
    exec(next(cell for cell in CELLS if "WORKSPACE = " in cell), values)
    assert sum(cell.count("-m pipeline") for cell in CELLS) == sum(len(commands(c)) for c in CELLS)
    verbs_in_it = []
    for command in (c for cell in CELLS for c in commands(cell)):
        name, given = parsed(re.sub(r"\$([A-Z]+)", lambda told: str(values[told[1]]), command))
        verbs_in_it.append(name)
        assert str(given["workspace"]) == values["WORKSPACE"]
    assert set(verbs_in_it) == {"run", "status", "purge"}


def test_the_commands_about_scale_are_ours():
    page = text("docs/scale.md")
    found = commands(page)
    assert len(found) == page.count("-m pipeline") >= 6
    for command in found:
        parsed(command)
