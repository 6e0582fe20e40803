"""A warning goes with a model and leaves the stages that made and measured it up to date."""

from __future__ import annotations

import pytest

from pipeline.serving.model_card import read_warning, write_warning
from pipeline.workspace.freshness import Reasons, shape
from pipeline.workspace.record import Record
from pipeline.workspace.stages import MODEL, MODEL_FILES, STAGES
from pipeline.workspace.workspace import Workspace

FINETUNE, EVALUATE = STAGES[6], STAGES[7]


@pytest.fixture
def space(tmp_path) -> Workspace:
    """A workspace in which stage 7 has just packaged a model."""
    workspace = Workspace.make(tmp_path / "space", {"source.export": [str(tmp_path)]})
    for name in FINETUNE.makes:
        path = workspace.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    (workspace.path / MODEL / "README.md").write_text("# A model\n", encoding="utf-8")
    workspace.finish(FINETUNE, Record(FINETUNE.name, FINETUNE.version))
    return workspace


def test_it_changes_neither_what_stage_7_made_nor_what_stage_8_read(space):
    before = shape(space, EVALUATE)
    write_warning(space.path / MODEL, "It repeats its chat.")
    assert shape(space, EVALUATE) == before
    assert set(before.inputs) == {*MODEL_FILES}
    changed = Reasons(space)._outputs_changed
    assert changed(space.record(FINETUNE)) is None
    (space.path / MODEL / "chat.json").write_text("other", encoding="utf-8")
    assert changed(space.record(FINETUNE)) == "model/chat.json was changed from outside"
    assert shape(space, EVALUATE) != before


def test_a_warning_is_written_replaced_and_taken_away(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# A model\n\nHello.\n", encoding="utf-8")
    write_warning(tmp_path, "It repeats\nits chat.")
    assert read_warning(tmp_path) == "It repeats its chat."
    assert readme.read_text(encoding="utf-8").endswith(
        "Hello.\n\n## Warning\n\nIt repeats its chat.\n"
    )
    write_warning(tmp_path, "It repeats a little.")
    assert readme.read_text(encoding="utf-8").count("## Warning") == 1
    assert read_warning(tmp_path) == "It repeats a little."
    write_warning(tmp_path, "")
    assert readme.read_text(encoding="utf-8") == "# A model\n\nHello.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
