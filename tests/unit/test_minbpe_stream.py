"""Cutting and reading: nothing is lost, and cuts are only where no token reaches across."""

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minbpe import TokenizerError, stream

lines = st.text("ab\n \r\u3000\u00a0é😂", max_size=60)


def assert_safe(pieces):
    for piece, following in pairwise(pieces):
        between_words = following[0] == " " and not piece[-1].isspace()
        between_lines = piece[-1] == "\n" and not (piece[-2].isspace() or following[0].isspace())
        assert between_words or between_lines


@given(lines, st.integers(1, 9))
def test_a_cut_text_is_whole_and_safely_cut(text, size):
    pieces = list(stream.cut(text, size))
    assert "".join(pieces) == text
    assert "" not in pieces
    assert all(len(piece) >= size for piece in pieces[:-1])
    assert_safe(pieces)


@given(lines, st.integers(1, 9), st.one_of(st.none(), st.integers(0, 100)))
def test_a_file_is_read_whole_and_safely_cut(text, size, limit):
    data = text.encode()[:limit].decode("utf-8", "ignore").encode()
    pieces = list(
        stream.read(io.BytesIO(text.encode()), None if limit is None else len(data), size)
    )
    assert "".join(pieces) == data.decode()
    assert "" not in pieces
    assert_safe(pieces)


def test_long_text_is_cut_near_the_size_and_not_held_back():
    for text in ("a line of text\n" * 1000, "句子。\n" * 3000, "no line break " * 1000):
        assert max(map(len, stream.cut(text, 100))) < 120
        assert max(map(len, stream.read(io.BytesIO(text.encode()), size=100))) < 120


def test_a_byte_order_mark_is_no_text_and_crlf_stays(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\ntwo".encode())
    assert list(stream.pieces([path, "three", "", path])) == ["one\r\ntwo", "three", "one\r\ntwo"]


def test_short_texts_share_a_batch():
    texts = ["x" * n for n in (3, 4, 5, 100, 1, 1)]
    assert list(map(len, stream.batches(texts, 10))) == [3, 1, 2]
    assert [t for batch in stream.batches(texts, 10) for t in batch] == texts


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(TokenizerError, match=r"missing\.txt"):
        list(stream.pieces(tmp_path / "missing.txt"))
    path = tmp_path / "latin.txt"
    path.write_bytes("déjà".encode("latin-1"))
    with pytest.raises(TokenizerError, match=r"latin\.txt.*UTF-8"):
        list(stream.pieces([path]))
