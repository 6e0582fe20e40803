"""A corpus: every kind of file, its parts, and nothing lost, doubled or cut."""

from __future__ import annotations

import json
import sys
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minbpe import RegexTokenizer
from minbpe.regex import PATTERNS
from pipeline.common.errors import DataError, SettingsError
from pipeline.common.split_names import SPLITS
from pipeline.corpus import Corpus, pieces, readers, size
from pipeline.corpus.listing import list_files


def documents(paths, part, column=""):
    """The whole documents of one part."""
    whole_texts, open_text = [], ""
    for piece in pieces(Corpus(tuple(paths), column), part):
        *whole, last = piece.texts
        for text in whole:
            whole_texts.append(open_text + text)
            open_text = ""
        open_text += last
        if piece.ends_document:
            whole_texts.append(open_text)
            open_text = ""
    assert not open_text
    return whole_texts


def whole(paths, part):
    return "".join(documents(paths, part))


def small_pieces(monkeypatch, amount):
    monkeypatch.setattr(readers, "PIECE", amount)


def write_jsonl(path, texts, column="text", **others):
    rows = [json.dumps({column: text, **others}, ensure_ascii=False) for text in texts]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def write_parquet(path, texts, column="text", **others):
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra pyarrow")
    from pyarrow import parquet

    columns = {column: texts, **{name: [v] * len(texts) for name, v in others.items()}}
    parquet.write_table(pyarrow.table(columns), path, row_group_size=100)
    return path


WRITERS = {".jsonl": write_jsonl, ".parquet": write_parquet}


# --- plain text ------------------------------------------------------------------------------


def test_the_last_tenth_of_the_bytes_is_validation(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123456789" * 100)
    assert len(whole([path], "train")) == 900
    assert len(whole([path], "val")) == 100
    assert whole([path], "test") == ""


@settings(max_examples=60)
@given(texts=st.lists(st.text("aé😂\n ", min_size=1, max_size=60), min_size=1, max_size=3))
def test_both_parts_together_are_the_text(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("corpus")
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_bytes(text.encode())
    assert whole([folder], "train") + whole([folder], "val") == "".join(texts)


def test_pieces_end_where_no_word_is_cut(tmp_path, monkeypatch):
    small_pieces(monkeypatch, 50)
    text = "some words here\n\n  and more of them\nagain\n" * 30
    (tmp_path / "a.txt").write_bytes(text.encode())
    texts = [piece.texts[0] for piece in pieces(Corpus((tmp_path,)), "train")]
    assert len(texts) > 10
    for piece, following in pairwise(texts):
        assert not piece[-1].isspace() or piece[-1] == "\n"
        assert not following[0].isspace() or (following[0] == " " and not piece[-1].isspace())


def test_reading_in_pieces_gives_the_ids_of_the_whole(tmp_path, monkeypatch):
    small_pieces(monkeypatch, 64)
    text = "\u3000One line.\n\u3000\n\u3000Another  line\r\n\r\n\tand 'more'\n\n\nof it 😂\n" * 40
    (tmp_path / "a.txt").write_bytes(text.encode())
    texts = [t for piece in pieces(Corpus((tmp_path,)), "train") for t in piece.texts]
    assert len(texts) > 10
    for pattern in PATTERNS:
        tokenizer = RegexTokenizer.train(text, 350, pattern)
        assert [i for t in texts for i in tokenizer.encode(t)] == tokenizer.encode("".join(texts))


def test_small_files_share_a_piece_and_stay_documents(tmp_path):
    for number in range(50):
        (tmp_path / f"{number:02}.txt").write_bytes(b"text %d\n" % number)
    all_pieces = list(pieces(Corpus((tmp_path,)), "train"))
    assert len(all_pieces) == 1
    assert all_pieces[0].texts[:3] == ("text 0\n", "text 1\n", "text 2\n")
    assert all_pieces[0].ends_document


# --- rows ------------------------------------------------------------------------------------

TEXTS = st.lists(st.text(max_size=40), min_size=1, max_size=60).filter(any)


@pytest.mark.parametrize("ending", WRITERS)
@settings(max_examples=40)
@given(texts=TEXTS, amount=st.sampled_from([8, 64, 1 << 20]))
def test_every_row_comes_once_and_whole(tmp_path_factory, ending, texts, amount):
    path = WRITERS[ending](tmp_path_factory.mktemp("rows") / f"rows{ending}", texts)
    with pytest.MonkeyPatch.context() as patch:
        small_pieces(patch, amount)
        assert [t for part in SPLITS for t in documents([path], part)] == [t for t in texts if t]


@pytest.mark.parametrize("ending", WRITERS)
def test_the_end_of_the_rows_is_validation(tmp_path, ending):
    texts = [f"row {n:04} " + "word " * 20 for n in range(1000)]
    path = WRITERS[ending](tmp_path / f"rows{ending}", texts)
    assert documents([path], "train") + documents([path], "val") == texts
    assert 80 <= len(documents([path], "val")) <= 120
    assert size(Corpus((path,))) == pytest.approx(sum(map(len, texts)), rel=0.3)


@pytest.mark.parametrize("ending", WRITERS)
def test_which_column_is_read(tmp_path, ending):
    write = WRITERS[ending]
    one = write(tmp_path / f"one{ending}", ["a"] * 30, "body", likes=3)
    two = write(tmp_path / f"two{ending}", ["a"] * 30, "body", author="b")
    usual = write(tmp_path / f"usual{ending}", ["a"] * 30, "text", author="b")
    assert documents([one], "train")[0] == "a"
    assert documents([usual], "train")[0] == "a"
    assert documents([two], "train", "author")[0] == "b"
    with pytest.raises(SettingsError, match=r"columns body, author; say which .*--corpus-column"):
        documents([two], "train")
    with pytest.raises(SettingsError, match="no column title, but body, author"):
        documents([two], "train", "title")
    with pytest.raises(SettingsError, match=r"(line|row) 1: column likes holds no text"):
        documents([one], "train", "likes")


@pytest.mark.parametrize("ending", WRITERS)
def test_rows_without_text_are_passed_over(tmp_path, ending):
    path = WRITERS[ending](tmp_path / f"rows{ending}", [None, "a", "", "b", None] * 10, "body", n=1)
    assert whole([path], "train") + whole([path], "val") == "ab" * 10


@pytest.mark.parametrize("ending", WRITERS)
def test_however_long_the_last_row_is_it_is_held_out(tmp_path, ending):
    texts = ["short", "word " * 5000]
    path = WRITERS[ending](tmp_path / f"rows{ending}", texts)
    if ending == ".jsonl":
        path.write_bytes(path.read_bytes() + b"\n \n")
    assert [documents([path], part) for part in SPLITS] == [["short"], ["word " * 5000], []]


def test_a_row_without_the_column_has_no_text(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n{"id": 1}\n{"text": "b"}\n{"text": "c"}\n', encoding="utf-8")
    assert documents([path], "train") + documents([path], "val") == ["a", "b", "c"]


def test_halves_of_characters_and_categories_are_text_too(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", ["a"])
    path.write_bytes(b'\xef\xbb\xbf{"text": "a\\ud83d\\ude02b\\ud800"}\r\n' + path.read_bytes())
    assert documents([path], "train") == ["a😂b\ufffd"]
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra pyarrow")
    from pyarrow import parquet

    column = pyarrow.array(["a", "b", None, "c"]).dictionary_encode()
    nested = pyarrow.array([{"x": 1, "y": "no"}] * 4)
    parquet.write_table(pyarrow.table({"n": nested, "body": column}), tmp_path / "a.parquet")
    texts = [t for part in SPLITS for t in documents([tmp_path / "a.parquet"], part)]
    assert texts == ["a", "b", "c"]


def test_a_long_row_comes_in_pieces(tmp_path, monkeypatch):
    small_pieces(monkeypatch, 100)
    path = write_jsonl(tmp_path / "rows.jsonl", ["word " * 200, "short"] * 5)
    assert documents([path], "train")[:2] == ["word " * 200, "short"]
    assert len(list(pieces(Corpus((path,)), "train"))) > 30


def test_memory_does_not_grow_with_the_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    line = json.dumps({"text": "some words " * 90}) + "\n"
    path.write_text(line * 20_000, encoding="utf-8")  # 20 MB
    tracemalloc.start()
    count = sum(len(piece.texts) for piece in pieces(Corpus((path,)), "train"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count > 15_000
    assert peak < 6 << 20


# --- given splits ----------------------------------------------------------------------------


def test_a_given_split_is_honoured(tmp_path):
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.txt").write_text(f"{name} text\n" * 50, encoding="utf-8")
    for part, name in zip(SPLITS, ("train", "validation", "test"), strict=True):
        assert whole([tmp_path], part) == f"{name} text\n" * 50


def test_folders_tell_the_split_too(tmp_path):
    for name in ("train", "val"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "a.txt").write_text(f"{name}\n" * 50, encoding="utf-8")
    assert set(whole([tmp_path], "train").split()) == {"train"}
    assert set(whole([tmp_path], "val").split()) == {"val"}


def test_beside_a_test_a_little_of_the_rest_is_validation(tmp_path):
    (tmp_path / "train.txt").write_text("0123456789" * 1000, encoding="utf-8")
    (tmp_path / "test.txt").write_text("test " * 40, encoding="utf-8")
    assert len(whole([tmp_path], "train")) == 9900
    assert len(whole([tmp_path], "val")) == 100
    assert whole([tmp_path], "test") == "test " * 40


def test_a_split_with_nothing_to_train_on_is_none(tmp_path):
    (tmp_path / "test.txt").write_text("0123456789" * 100, encoding="utf-8")
    assert len(whole([tmp_path], "train")) == 900
    assert len(whole([tmp_path], "val")) == 100


# --- bad input -------------------------------------------------------------------------------


def test_bad_corpora_are_refused_in_words(tmp_path):
    with pytest.raises(DataError, match="There is no"):
        list_files([tmp_path / "missing.txt"])
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match="holds no text"):
        list_files([tmp_path])
    (tmp_path / "latin.txt").write_bytes("déjà vu ".encode("latin-1") * 50)
    with pytest.raises(DataError, match="not UTF-8"):
        whole([tmp_path], "train")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{secret", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'"secret"', "is no object"),
        (b'{"text": "\xff"}', "not UTF-8"),
    ],
)
def test_a_bad_line_is_named_by_its_number_alone(tmp_path, line, reason):
    path = tmp_path / "rows.jsonl"
    good = b'{"text": "good"}\n'
    path.write_bytes(good * 30 + line + b"\n" + good * 30)
    with pytest.raises(DataError, match=f"line 31 .*{reason}") as error:
        whole([path], "train")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("damage", ["empty", "cut", "no table", "inside"])
def test_a_damaged_parquet_file_is_named(tmp_path, damage):
    texts = [f"secret {n} " * 50 for n in range(200)]
    path = write_parquet(tmp_path / "rows.parquet", texts)
    data = path.read_bytes()
    at = len(data) // 4
    made = {
        "empty": b"",
        "cut": data[:-20],
        "no table": b"PAR1" + b"x" * 100,
        "inside": data[:at] + bytes(at) + data[2 * at :],
    }
    path.write_bytes(made[damage])
    (tmp_path / "other.txt").write_text("text " * 50, encoding="utf-8")
    with pytest.raises(DataError, match="is damaged") as error:
        whole([tmp_path], "train")
    assert "secret" not in str(error.value)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "rows.parquet", ["text"] * 50)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pyarrow.parquet.ParquetFile", refuse)
    with pytest.raises(PermissionError):
        whole([path], "train")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "rows.parquet", ["text"] * 50)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingsError, match="pip install pyarrow=="):
        whole([path], "train")
