"""The split that file names give, and names that only sound like it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pipeline import freshness, runner
from pipeline.corpus import Corpus, parts
from pipeline.corpus.names import File, split
from pipeline.screen import Screen
from pipeline.stages import by_name
from pipeline.workspace import Workspace


def told(*ways):
    return dict(zip(ways, split([File(Path(way), Path(way)) for way in ways]), strict=True))


@pytest.mark.parametrize(
    ("way", "part"),
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
        ("other/wiki.test.jsonl", "train"),
        ("latest.txt", "train"),
        ("trainspotting.txt", "train"),
        ("test-of-time.txt", "train"),
        ("acid-test.txt", "train"),
        ("contest/evaluations.txt", "train"),
        ("developer.txt", "train"),
    ],
)
def test_names(way, part):
    assert told("wiki.train.jsonl", "wiki-train.00000-of-00008.jsonl", way)[way] == part


def test_a_name_behind_another_needs_a_sibling_in_its_folder():
    assert told("a/book.txt", "a/book-test.txt")["a/book-test.txt"] == "test"
    assert told("a/book.txt", "b/book-test.txt")["b/book-test.txt"] == "train"


def test_names_that_leave_nothing_to_train_on_are_only_names():
    assert told("test/a.txt", "test/b.txt") == {"test/a.txt": "train", "test/b.txt": "train"}


def texts_of(corpus, part):
    return [piece.text for piece in corpus.pieces(part)]


def put(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return Corpus([folder])


def test_a_given_split_is_honoured(tmp_path):
    corpus = put(tmp_path, a="aaaa", validation="vv", test="t")
    assert texts_of(corpus, "train") == ["aaaa"]
    assert texts_of(corpus, "val") == ["vv"]
    assert texts_of(corpus, "test") == ["t"]
    assert corpus.told() == "corpus: 3 files, 3 documents; validation and test as given"


def test_validation_alone_leaves_no_test(tmp_path):
    corpus = put(tmp_path, train="aaaa", val="vv")
    assert [texts_of(corpus, part) for part in ("train", "val", "test")] == [["aaaa"], ["vv"], []]


def test_a_test_alone_is_kept_for_the_end_and_validation_is_taken_from_training(
    tmp_path, monkeypatch
):
    corpus = put(tmp_path, train="a" * 90 + "b" * 10, test="t")
    assert [texts_of(corpus, part) for part in ("train", "val", "test")] == [
        ["a" * 90], ["b" * 10], ["t"],
    ]  # fmt: skip
    monkeypatch.setattr(parts, "HELD_OUT", 4)
    assert texts_of(Corpus([tmp_path]), "val") == ["bbbb"]


def test_files_given_one_by_one_are_one_corpus(tmp_path):
    put(tmp_path, train="aaaa", test="tt")
    paths = [tmp_path / "train.txt", tmp_path / "test.txt"]
    random.Random(0).shuffle(paths)
    assert texts_of(Corpus(paths), "test") == ["tt"]


def test_a_file_renamed_to_another_part_makes_stages_stale(tmp_path, console):
    folder = tmp_path / "corpus"
    folder.mkdir()
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
