"""Ready-made dialogues."""

from __future__ import annotations

import json

import pytest

from pipeline.common.errors import DataError
from pipeline.dialogue.dialogue_file import read_dialogues
from pipeline.dialogue.turns import Turn

TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "hello"},
]


def put(tmp_path, value):
    path = tmp_path / "dialogues.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_roles_become_speakers_and_the_last_tenths_are_held_out(tmp_path):
    parts = read_dialogues(put(tmp_path, [TALK] * 20), "Maya")
    assert {name: len(dialogues) for name, dialogues in parts.items()} == {
        "train": 16, "val": 2, "test": 2,
    }  # fmt: skip
    assert parts["train"][0] == [
        Turn("system", ("Be kind.",)), Turn("user", ("hi",)), Turn("Maya", ("hello",)),
    ]  # fmt: skip


def test_records_become_exchanges(tmp_path):
    record = {"instruction": "Translate", "input": "salam", "output": "hello"}
    parts = read_dialogues(put(tmp_path, [record]), "assistant")
    assert parts["train"] == [[Turn("user", ("Translate\nsalam",)), Turn("assistant", ("hello",))]]


@pytest.mark.parametrize(
    "value", [[], {}, [[{"role": "robot", "content": "x"}]], [{"text": "x"}], [3], [[{"role": 1}]]]
)
def test_anything_else_is_refused_in_words(tmp_path, value):
    with pytest.raises(DataError, match="dialogues"):
        read_dialogues(put(tmp_path, value), "Maya")


def test_a_file_that_is_missing_or_no_json_is_refused(tmp_path):
    with pytest.raises(DataError, match="There is no"):
        read_dialogues(tmp_path / "none.json", "Maya")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="not JSON"):
        read_dialogues(tmp_path / "bad.json", "Maya")
