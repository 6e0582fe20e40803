"""Atomic writes and stamps."""

from __future__ import annotations

import pytest

from pipeline.common.files import atomic, read_json, read_jsonl, write_json, write_jsonl
from pipeline.workspace.stamps import Stamp


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")

    def write_half() -> None:
        with atomic(path) as file:
            file.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_and_jsonl_round_trip_any_language(tmp_path):
    rows = [{"text": "صافي 😂\nline"}, {"text": "ok"}]
    assert write_jsonl(tmp_path / "rows.jsonl", rows) == 2
    assert list(read_jsonl(tmp_path / "rows.jsonl")) == rows
    write_json(tmp_path / "one.json", rows)
    assert read_json(tmp_path / "one.json") == rows


def test_a_stamp_follows_content_and_not_dates(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one", encoding="utf-8")
    known = Stamp.of(path)
    path.write_text("two", encoding="utf-8")
    assert not known.matches(path)
    path.write_text("one", encoding="utf-8")
    assert known.matches(path)


def test_a_folder_stamp_sees_every_file_and_tells_no_name(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "Ana.txt").write_text("one", encoding="utf-8")
    known = Stamp.of(tmp_path)
    assert "Ana" not in str(known)
    (tmp_path / "sub" / "Ben.txt").write_text("two", encoding="utf-8")
    assert not known.matches(tmp_path)
