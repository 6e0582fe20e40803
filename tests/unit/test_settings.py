"""Settings: complete in the file, checked whole, refused in words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipeline.cleaning.message_rules import RULES
from pipeline.common.errors import SettingsError, WorkspaceError
from pipeline.workspace import settings_file
from pipeline.workspace.freshness import Reasons, Shape, shape
from pipeline.workspace.record import Record
from pipeline.workspace.settings import RENAMED, Settings
from pipeline.workspace.stages import by_name
from pipeline.workspace.workspace import Workspace


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
    settings_file.save(path, {"finetune.alpha": 8})
    assert settings_file.load(path).finetune.alpha == 8.0
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


def test_all_cleaning_rules_are_applied_by_default():
    assert Settings().clean.rules == tuple(RULES)


OLD = "[train]\nkeep = 3\nsave_every = 7.0\n[pretrain]\nbase = true\n[dialogues]\nrepeats = 9\n"


def test_old_names_are_understood_and_told_once(tmp_path, capsys):
    path = write(tmp_path, OLD)
    settings = settings_file.load(path)
    assert (settings.train.keep_checkpoints, settings.train.save_minutes) == (3, 7.0)
    assert settings.pretrain.continue_base
    assert settings.dialogues.max_repeats == 9
    settings_file.load(path)
    told = capsys.readouterr().err.splitlines()
    assert f"{path}: train.keep is called train.keep_checkpoints now." in told
    assert len(told) == 4


def test_set_understands_an_old_name_and_keeps_what_the_file_calls_it(tmp_path, capsys):
    path = write(tmp_path, OLD)
    settings_file.save(path, {"train.keep": 5, "dialogues.max_repeats": 2})
    assert "--set: train.keep is called train.keep_checkpoints now." in capsys.readouterr().err
    assert settings_file.load(path).train.keep_checkpoints == 5
    assert path.read_text("utf-8") == OLD.replace("keep = 3", "keep = 5").replace("= 9", "= 2")


def test_every_old_name_leads_to_a_setting():
    assert set(RENAMED.values()) <= set(settings_file.names())
    assert not RENAMED.keys() & set(settings_file.names())


def test_a_renamed_setting_makes_nothing_out_of_date(tmp_path):
    workspace = Workspace.make(tmp_path / "space", {"pretrain.continue_base": True})
    stage = by_name("pretrain")
    now = shape(workspace, stage)
    for name in stage.makes:
        (workspace.path / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.path / name).touch()
    workspace.finish(stage, Record("pretrain", stage.version, settings=now.settings))
    path = workspace.folder(stage) / "stage.json"
    text = path.read_text("utf-8")
    path.write_text(text.replace("pretrain.continue_base", "pretrain.base"), "utf-8")
    assert "pretrain.base" in path.read_text("utf-8")
    assert Reasons(workspace)._settings_changed(stage, workspace.record(stage)) is None


def test_a_half_done_training_goes_on_after_a_setting_got_a_new_name():
    before = Shape({"pretrain.base": True, "train.seed": 1}, {}, {}, "").key(3)
    assert before == "7d9d82b34fd775bd"  # as it was under the first name
    assert Shape({"pretrain.continue_base": True, "train.seed": 1}, {}, {}, "").key(3) == before
