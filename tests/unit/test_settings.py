"""Settings: complete in the file, checked whole, refused in words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipeline.common.errors import SettingsError, WorkspaceError
from pipeline.workspace import settings_file
from pipeline.workspace.settings import Settings


def write(folder: Path, text: str) -> Path:
    path = folder / "workspace.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_written_file_reads_back_as_the_defaults(tmp_path):
    path = tmp_path / "workspace.toml"
    settings_file.save(path, {})
    assert settings_file.load(path) == Settings()


def test_every_setting_is_in_the_file_with_its_explanation_above(tmp_path):
    path = tmp_path / "workspace.toml"
    settings_file.save(path, {})
    lines = path.read_text(encoding="utf-8").splitlines()
    for section, cls in settings_file.sections().items():
        for field in dataclasses.fields(cls):
            at = lines.index(f"[{section}] # {cls.__doc__}")
            below = next(n for n in range(at, len(lines)) if lines[n].startswith(f"{field.name} ="))
            assert lines[below - 1].startswith(f"# {field.metadata['help']}")


def test_a_change_keeps_the_rest_of_the_file(tmp_path):
    path = tmp_path / "workspace.toml"
    settings_file.save(path, {})
    text = path.read_text(encoding="utf-8").replace("dropout = 0.0", "dropout = 0.0  # mine")
    path.write_text(text, encoding="utf-8")
    assert settings_file.save(path, {"finetune.alpha": 8}).finetune.alpha == 8.0
    assert "dropout = 0.0  # mine" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[finetune]\nrnak = 4", "no setting finetune.rnak. Did you mean finetune.rank?"),
        ("[finetun]\nrank = 4", "no section finetun. Did you mean finetune?"),
        ("[finetune]\nrank = 'four'", "finetune.rank must be a whole number"),
        ("[finetune]\nrank = true", "finetune.rank must be a whole number"),
        ("[finetune]\nrank = 0", "finetune.rank must be at least 1"),
        ("[chat]\ntop_p = 1.5", "chat.top_p must be between 0.01 and 1"),
        ("[tokenizer]\nvocab_size = 'big'", "a whole number or auto"),
        ("[pretrain]\nloader = 'all'", "random | overlapping | blocks"),
        ("finetune = 3", "finetune must be a section"),
        ("[finetune", "is not valid TOML"),
    ],
)
def test_bad_settings_are_refused_in_words(tmp_path, text, words):
    with pytest.raises(SettingsError) as caught:
        settings_file.load(write(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_refused_change_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "workspace.toml"
    settings_file.save(path, {})
    before = path.read_bytes()
    with pytest.raises(SettingsError):
        settings_file.save(path, {"finetune.rank": -1})
    assert path.read_bytes() == before


def test_a_newer_workspace_is_refused(tmp_path):
    with pytest.raises(WorkspaceError, match="newer version"):
        settings_file.load(write(tmp_path, "version = 99"))


def test_no_workspace_says_how_to_make_one(tmp_path):
    with pytest.raises(WorkspaceError, match="pipeline run --export"):
        settings_file.load(tmp_path / "workspace.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [("16", 16), ("0.5", 0.5), ("true", True), ("auto", "auto"), ('["a", "b"]', ["a", "b"])],
)
def test_values_of_the_command_line_are_toml_or_text(text, value):
    assert settings_file.parse_value(text) == value
