"""Tables as a corpus: every row with text once, whole, in one part; what is damaged is said."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpus import Corpus, piece, rows
from pipeline.errors import DataError

PARTS = ("train", "val", "test")


def put_jsonl(path, table):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in table), encoding="utf-8")


def put_parquet(path, table, group=3):
    pa = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow (requirements-extra.txt)")
    from pyarrow import parquet

    names = dict.fromkeys(name for row in table for name in row)
    columns = {name: [row.get(name) for row in table] for name in names}
    parquet.write_table(pa.table(columns), path, row_group_size=group)


WRITERS = {".jsonl": put_jsonl, ".parquet": put_parquet}
formats = pytest.mark.parametrize("suffix", WRITERS)


def documents(corpus, part):
    found = [""]
    for part_of_it in corpus.pieces(part):
        found[-1] += part_of_it.text
        found += [""] if part_of_it.ends_document else []
    assert found.pop() == ""
    return found


def put(tmp_path, suffix, table, name="table"):
    path = tmp_path / f"{name}{suffix}"
    WRITERS[suffix](path, table)
    return path


@formats
@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.none() | st.text("ab é😂\n", max_size=40), min_size=2, max_size=30),
    size=st.integers(8, 200),
)
def test_what_comes_out_is_what_went_in(tmp_path_factory, suffix, texts, size):
    wanted = [text for text in texts if text]
    if not wanted:
        return
    folder = tmp_path_factory.mktemp("corpus")
    put(folder, suffix, [{"id": n, "text": text} for n, text in enumerate(texts)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(piece, "SIZE", size)
        corpus = Corpus([folder])
        found = {part: documents(corpus, part) for part in PARTS}
    assert found["train"] + found["val"] == wanted
    assert len(found["val"]) >= 1
    total = len("".join(wanted).encode())
    assert corpus.bytes("train") + corpus.bytes("val") == total
    held = len("".join(found["val"]).encode())
    assert held <= max(0.1 * total + 1, len(wanted[-1].encode()))
    if any(not text for text in texts):
        assert f"({len(texts) - len(wanted)} rows without text" in corpus.told()


@formats
def test_a_corpus_of_many_files_of_each_kind(tmp_path, suffix):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_text("plain " * 50, encoding="utf-8")
    put(tmp_path / "a", suffix, [{"text": f"row {n} " * 3} for n in range(40)])
    put(tmp_path, suffix, [{"text": "the last " * 20}] * 3, "z")
    corpus = Corpus([tmp_path])
    train, val = documents(corpus, "train"), documents(corpus, "val")
    rows_in_it = [f"row {n} " * 3 for n in range(40)]
    assert train + val == ["plain " * 50, *rows_in_it, *["the last " * 20] * 3]
    assert val == ["the last " * 20]


@formats
def test_a_given_split_of_tables(tmp_path, suffix):
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        put(tmp_path, suffix, [{"text": f"{name} {n:02}"} for n in range(30)], name)
    corpus = Corpus([tmp_path])
    found = {part: documents(corpus, part) for part in PARTS}
    assert [len(found[part]) for part in PARTS] == [54, 6, 30]
    assert all(text.startswith("test") for text in found["test"])


@formats
@pytest.mark.parametrize(
    ("table", "wanted", "column"),
    [
        ([{"id": 1, "text": "yes", "url": "no"}], "", "text"),
        ([{"id": 1, "body": "yes"}], "", "body"),
        ([{"title": "no", "body": "yes"}], "body", "body"),
    ],
)
def test_which_column_holds_the_text(tmp_path, suffix, table, wanted, column):
    path = put(tmp_path, suffix, table)
    assert list(rows.FORMATS[suffix](path, wanted)) == [table[0][column]]


@formats
@pytest.mark.parametrize(
    ("table", "wanted", "words"),
    [
        ([{"title": "a", "body": "b"}], "", r"columns are title, body: name one with --corpus-col"),
        ([{"title": "a"}], "txet", r"has no column txet; its columns are title"),
        ([{"text": 3, "title": "a", "by": "b"}], "", "the column text holds no text; its columns"),
        ([{"text": ["a"]}], "text", "the column text holds no text"),
        ([{"n": 1}], "", "not one column of text"),
    ],
)
def test_a_column_that_cannot_be_told_is_asked_for(tmp_path, suffix, table, wanted, words):
    path = put(tmp_path, suffix, table)
    with pytest.raises(DataError, match=words):
        list(rows.FORMATS[suffix](path, wanted))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"text": "private', "line 2 is no JSON object"),
        (b'["private"]', "line 2 is no JSON object"),
        (b"[" * 100_000, "line 2 is no JSON object"),
        (b'{"text": 7}', "line 2: the column text holds no text there"),
        ('{"text": "privé"}'.encode("latin-1"), "line 2 is not UTF-8"),
    ],
)
def test_a_broken_line_is_named_and_not_quoted(tmp_path, line, words):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "fine"}\n' + line + b'\n{"text": "fine"}\n')
    with pytest.raises(DataError, match=words) as error:
        Corpus([path]).bytes("train")
    assert "priv" not in str(error.value)


def test_lines_that_are_no_trouble(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = b'{"text": null}\r\n\n{"text": "a\\ud83d\\ude02b\\ud800"}\n{"id": 3}\n{"text": "c"}'
    path.write_bytes(b"\xef\xbb\xbf" + lines)
    assert list(rows.json_lines(path, "")) == ["", "a😂b\ufffd", "", "c"]


def test_an_empty_table_holds_no_text_and_one_row_is_too_few(tmp_path):
    (tmp_path / "a.jsonl").touch()
    with pytest.raises(DataError, match="holds no text"):
        Corpus([tmp_path]).bytes("train")
    put(tmp_path, ".jsonl", [{"text": "all"}])
    assert documents(Corpus([tmp_path]), "val") == ["all"]


@pytest.mark.parametrize("damage", ["cut", "empty", "inside", "no table"])
def test_a_damaged_parquet_file_is_named(tmp_path, damage):
    path = put(tmp_path, ".parquet", [{"text": f"private {n} " * 50} for n in range(200)])
    data = path.read_bytes()
    middle = len(data) // 8
    path.write_bytes(
        {
            "cut": data[: len(data) // 2],
            "empty": b"",
            "inside": data[:middle] + bytes(len(data) // 4) + data[middle + len(data) // 4 :],
            "no table": b"private " * 500,
        }[damage]
    )
    with pytest.raises(DataError, match="is damaged or no Parquet file") as error:
        Corpus([path]).bytes("train")
    assert "private" not in str(error.value)


def test_categories_are_text_too(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow (requirements-extra.txt)")
    from pyarrow import parquet

    column = pa.array(["a", "b", None, "a"]).dictionary_encode()
    nested = pa.array([{"x": 1, "y": "no"}] * 4)
    table = pa.table({"n": nested, "text": column})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert list(rows.parquet(tmp_path / "a.parquet", "")) == ["a", "b", "", "a"]
    binary = pa.table({"text": pa.array([b"\xff"])})
    parquet.write_table(binary, tmp_path / "b.parquet")
    with pytest.raises(DataError, match="the column text holds no text"):
        list(rows.parquet(tmp_path / "b.parquet", ""))


def test_without_pyarrow_a_line_says_how(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"needs pyarrow: `pip install pyarrow==\d"):
        list(rows.parquet(tmp_path / "a.parquet", ""))


def test_the_pin_is_the_one_that_is_installed_for_the_tests():
    from pathlib import Path

    extra = Path(__file__).resolve().parents[2] / "requirements-extra.txt"
    assert rows.PYARROW in extra.read_text(encoding="utf-8")
