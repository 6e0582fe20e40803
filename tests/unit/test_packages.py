"""What to type to install a package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from transformer.packages import install, typed


@pytest.mark.parametrize(
    ("python", "line"),
    [
        ("HERE/.venv/bin/python", ".venv/bin/python -m pip install x==1"),
        ("HERE/.venv/Scripts/python.exe", ".venv/Scripts/python -m pip install x==1"),
        ("HERE/my env/bin/python3.12", '"my env/bin/python3.12" -m pip install x==1'),
        ("ELSE/bin/python", "ELSE/bin/python -m pip install x==1"),
    ],
)
def test_it_is_for_the_python_that_runs(tmp_path, monkeypatch, python, line):
    here, other = str(tmp_path / "here"), str(tmp_path / "else")
    Path(here).mkdir()
    monkeypatch.chdir(here)
    put = {"HERE": here, "ELSE": other}
    for name, path in put.items():
        python, line = python.replace(name, path), line.replace(name, path)
    monkeypatch.setattr(sys, "executable", str(Path(python)))
    assert install("x==1").replace("\\", "/") == line.replace("\\", "/")


def test_a_path_with_blanks_is_quoted(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert typed(tmp_path / "a b" / "model") == f'"{Path("a b/model")}"'
    assert typed(tmp_path / "ab") == "ab"
