"""The split that file names give, and names that only sound like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.common.screen import Screen
from pipeline.corpus.listing import list_files, stated_splits
from pipeline.stages import runner
from pipeline.workspace import freshness
from pipeline.workspace.stages import by_name
from pipeline.workspace.workspace import Workspace


def splits_of(*names):
    return dict(zip(names, stated_splits([Path(name) for name in names]), strict=True))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("atlas/test-00000-of-00001.parquet", "test"),
        ("atlas/test-00000-of-00001-a09b74b3ef9c3b56.parquet", "test"),
        ("atlas/data/validation.jsonl", "val"),
        ("val.txt", "val"),
        ("Dev.TXT", "val"),
        ("valid_3.txt", "val"),
        ("atlas/test/a/b.txt", "test"),
        ("atlas/eval/train.txt", "train"),
        ("test/training-1.txt", "train"),
        ("wiki.test.jsonl", "test"),
        ("wiki-valid.00001-of-00008.jsonl", "val"),
        ("other/wiki.test.jsonl", None),
        ("latest.txt", None),
        ("trainspotting.txt", None),
        ("test-of-time.txt", None),
        ("acid-test.txt", None),
        ("driving test.txt", None),
        ("12.txt", None),
        ("contest/evaluations.txt", None),
        ("developer.txt", None),
    ],
)
def test_names(name, part):
    assert splits_of("wiki.train.jsonl", "wiki-train.00000-of-00008.jsonl", name)[name] == part


def test_a_name_behind_another_needs_a_sibling_in_its_folder():
    assert splits_of("a/book.txt", "a/book-test.txt")["a/book-test.txt"] == "test"
    assert splits_of("a/book.txt", "b/book-test.txt")["b/book-test.txt"] is None


def test_names_that_leave_nothing_to_train_on_are_only_names():
    assert splits_of("test/a.txt", "test/b.txt") == {"test/a.txt": None, "test/b.txt": None}


def put(folder, **texts):
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def test_the_parts_of_a_data_set_may_be_given_one_by_one_and_a_file_twice(tmp_path):
    for name in ("train", "test"):
        put(tmp_path / name, a="aaaa")
    given = [tmp_path / "train", tmp_path / "test", tmp_path / "train" / "a.txt"]
    assert [file.split for file in list_files(given)] == ["train", "test"]


@pytest.mark.skipif("os.name == 'nt'", reason="links need rights there")
def test_a_link_is_what_its_own_name_says(tmp_path):
    (tmp_path / "blob").write_text("aaaa", encoding="utf-8")
    put(tmp_path / "set", train="a")
    (tmp_path / "set" / "test.jsonl").symlink_to(tmp_path / "blob")
    splits = {file.path.name: file.split for file in list_files([tmp_path / "set"])}
    assert splits == {"train.txt": "train", "test.jsonl": "test"}


def test_a_file_renamed_to_another_part_makes_stages_out_of_date(tmp_path, console):
    folder = tmp_path / "corpus"
    put(folder, a="some text " * 300, test="tt")
    workspace = Workspace.make(tmp_path / "space", {"source.corpus": [str(folder)]})
    stage = by_name("tokenizer")
    runner.run(workspace, [stage], Screen(console))
    before = freshness.shape(workspace, stage).key(1)
    (folder / "test.txt").rename(folder / "rest.txt")
    assert "renamed to another part" in freshness.why(workspace, stage)
    assert freshness.shape(workspace, stage).key(1) != before
    (folder / "rest.txt").rename(folder / "test.txt")
    assert freshness.why(workspace, stage) is None
