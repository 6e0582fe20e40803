"""The command line as a whole: its table of verbs, its help, and options that repeat."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from pipeline.__main__ import cli, main

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", cli.verbs)
def test_every_row_of_the_table_names_a_command(name):
    command = cli.get_command(click.Context(cli), name)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help


def test_help_has_a_line_for_every_verb_and_loads_none(capsys):
    code = (
        "import sys; from pipeline.__main__ import main; main(['--help'])\n"
        "for name in ('torch', 'numpy', 'rich', 'pipeline.cli.run', 'pipeline.stages.runner'):\n"
        "    assert name not in sys.modules, name"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60, capture_output=True
    ).stdout.decode()
    for name, (_, line) in cli.verbs.items():
        assert f"  {name} " in told
        assert line in told
    assert "3\xa0tokenizer" in told


def test_status_loads_no_reader_and_no_torch(tmp_path):
    code = (
        "import sys; from pipeline.__main__ import main\n"
        "assert main(['status', '--workspace', 'nowhere']) == 2\n"
        "for name in ('torch', 'numpy', 'pipeline.exports.read_export', 'pipeline.cli.run'):\n"
        "    assert name not in sys.modules, name"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--export", "a.txt", "b.txt"),
        ("1-3", "--export", "a.txt", "b.txt"),
        ("tokenizer", "--export", "a.txt", "b.txt"),
        ("evaluate", "--export", "a.txt", "b.txt"),
        ("retrain", "--export", "a.txt", "b.txt"),
        ("run", "--corpus", "a.txt", "b.txt", "--persona", "Ann"),
    ],
)
def test_a_second_path_is_told_to_repeat_the_option(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(list(words)) == 2
    line = capsys.readouterr().err
    option = next(word for word in words if word in ("--export", "--corpus"))
    assert line == (
        f"b.txt is no stage; to give several files, repeat the option: "
        f"{option} a.txt {option} b.txt.\n"
    )


def test_stages_after_an_option_are_stages(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["tokenizer", "--export", "a.txt", "encode"]) == 2
    assert capsys.readouterr().err == "There is no a.txt; check the path given to --export.\n"
