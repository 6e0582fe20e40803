"""Plain text: the last tenth of the bytes is validation, characters stay whole, nothing is lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minbpe import RegexTokenizer
from minbpe.regex import PATTERNS
from pipeline.corpus import Corpus, piece
from pipeline.errors import DataError


def whole(paths, part):
    return "".join(piece.text for piece in Corpus(paths).pieces(part))


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
    monkeypatch.setattr(piece, "SIZE", 50)
    text = "some words here\n\n  and more of them\nagain\n" * 30
    (tmp_path / "a.txt").write_bytes(text.encode())
    found = [part.text for part in Corpus([tmp_path]).pieces("train")]
    assert len(found) > 10
    for before, following in pairwise(found):
        assert not before[-1].isspace() or before[-1] == "\n"
        assert not following[0].isspace() or (following[0] == " " and not before[-1].isspace())


def test_reading_in_pieces_gives_the_ids_of_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(piece, "SIZE", 64)
    text = "\u3000One line.\n\u3000\n\u3000Another  line\r\n\r\n\tand 'more'\n\n\nof it 😂\n" * 40
    (tmp_path / "a.txt").write_bytes(text.encode())
    found = [part.text for part in Corpus([tmp_path]).pieces("train")]
    assert len(found) > 10
    for pattern in PATTERNS:
        tokenizer = RegexTokenizer.train(text, 350, pattern)
        assert [i for t in found for i in tokenizer.encode(t)] == tokenizer.encode("".join(found))


def test_each_file_is_a_document_and_none_comes_twice(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.TXT").write_bytes(b"text\n" * 100)
    corpus = Corpus([tmp_path, tmp_path / "a.TXT"])
    assert [part.ends_document for part in corpus.pieces("train")] == [True, True]
    assert corpus.bytes("train") + corpus.bytes("val") == 1000


def test_bad_corpora_are_refused_in_words(tmp_path):
    with pytest.raises(DataError, match="There is no"):
        Corpus([tmp_path / "missing.txt"])
    with pytest.raises(DataError, match=r"holds no \.txt, \.jsonl, \.parquet file"):
        Corpus([tmp_path])
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match="holds no text"):
        Corpus([tmp_path]).bytes("train")
    (tmp_path / "latin.txt").write_bytes("déjà vu ".encode("latin-1") * 50)
    with pytest.raises(DataError, match="not UTF-8"):
        whole([tmp_path], "train")
