"""The metadata of a GGUF file, lists included, and what happens to damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from transformer.pretrained.gguf import NotGgufError, read_metadata


def text(value: str) -> bytes:
    data = value.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def field(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def file(path: Path, *fields: bytes, count: int | None = None) -> Path:
    header = b"GGUF" + struct.pack("<IQQ", 3, 0, len(fields) if count is None else count)
    path.write_bytes(header + b"".join(fields))
    return path


TOKENS = field("tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("ü"))
SCORES = field("scores", 9, struct.pack("<IQ2f", 6, 2, 0.5, -1.0))


def test_texts_numbers_and_lists_are_read(tmp_path):
    eps = field("eps", 6, struct.pack("<f", 1e-5))
    path = file(tmp_path / "x.gguf", field("arch", 8, text("llama")), eps, TOKENS, SCORES)
    assert read_metadata(path) == {
        "arch": "llama",
        "eps": 1e-5,
        "tokens": ["a", "ü"],
        "scores": [0.5, -1.0],
    }


@pytest.mark.parametrize(
    "crafted",
    [
        field("tokens", 9, struct.pack("<IQ", 8, 1 << 60)),
        field("scores", 9, struct.pack("<IQ", 12, 1 << 61)),
        field("nested", 9, struct.pack("<IQ", 9, 1)),
        field("kind", 99, b""),
        field("name", 8, struct.pack("<Q", 1 << 63)),
        field("name", 8, struct.pack("<Q", 2) + b"\xff\xff"),
    ],
)
def test_a_crafted_file_is_refused_at_once(tmp_path, crafted):
    with pytest.raises(ValueError, match=r"damaged|decode"):
        read_metadata(file(tmp_path / "x.gguf", crafted))
    with pytest.raises(ValueError, match="damaged"):
        read_metadata(file(tmp_path / "y.gguf", TOKENS, count=1 << 62))


def test_another_format_is_told_apart(tmp_path):
    path = tmp_path / "x.gguf"
    for data, words in ((b"{}{}{}", "no GGUF"), (b"GGUF" + bytes(20), "version 0")):
        path.write_bytes(data)
        with pytest.raises(NotGgufError, match=words):
            read_metadata(path)
