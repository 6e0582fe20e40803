"""Whatever bytes are in a tokenizer's file: a tokenizer, or a refusal in one line.

The test runs some mutations of each kind of file. For longer:
`PYTHONPATH=.:tests/support python tests/property/test_tokenizer_files.py MINUTES`.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

import pytest
from tokenizer_files import PASSAGE, byte_level_gguf, gpt2_like, llama_like, sentencepiece_gguf

import minbpe
from minbpe import RegexTokenizer, TokenizerError, io
from minbpe.base import Tokenizer
from minbpe.io.tokenizer_json import dump_json
from pipeline.training.base_model import gguf_tokenizer

BITS = [
    *(b"0", b"-1", b"1e9", b"99999999999", b"null", b"true", b'""', b'"a"', b"[]", b"{}", b"[0]"),
    *(b" ", b"\n", b",", b":", b"\\", b"\xff", b"\0", b"\x09", b"\xff\xff\xff\xff\xff\xff\xff\x7f"),
    *(b"\xc4\xa0", b"\xe2\x96\x81", b"=", b"YQ==", b"256", b"<0x41>", b'"\\ud800"', b"minbpe v1\n"),
]
OURS = RegexTokenizer.train(PASSAGE, 300, special=["<|a|>"])


def read_ranks(path: Path) -> Tokenizer:
    return io.from_tiktoken(path, "gpt4", {"<|b|>": 5_000})


def make_ours(path: Path) -> None:
    minbpe.save(OURS, path)


def make_reference(path: Path) -> None:
    io.to_reference(OURS, path)


def make_ranks(path: Path) -> None:
    io.to_tiktoken(OURS, path)


KINDS: dict[str, tuple[Callable[[Path], object], Callable[[Path], Tokenizer]]] = {
    "tokenizer.json": (make_ours, minbpe.load),
    "bytes.json": (lambda path: path.write_text(dump_json(gpt2_like()), "utf-8"), minbpe.load),
    "fallback.json": (lambda path: path.write_text(dump_json(llama_like()), "utf-8"), minbpe.load),
    "ranks.tiktoken": (make_ranks, read_ranks),
    "reference.model": (make_reference, io.from_reference),
}
if find_spec("gguf"):
    KINDS["bytes.gguf"] = (byte_level_gguf, gguf_tokenizer)
    KINDS["sentencepiece.gguf"] = (sentencepiece_gguf, gguf_tokenizer)


def mutate(data: bytes, draw: random.Random) -> bytes:
    """A few random changes: bits put in, put over, cut out or doubled."""
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(data) + 1)
        to = min(at + draw.choice((1, 4, 40, 400, len(data))), len(data))
        bit = draw.choice(BITS)
        change = draw.randrange(5)
        data = (
            data[:at] + bit + data[at:],
            data[:at] + bit + data[at + len(bit) :],
            data[:at] + data[to:],
            data[:to] + data[at:],
            data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :],
        )[change]
    return data


def mutate_values(data: bytes, draw: random.Random) -> bytes:
    """A JSON file that stays JSON: some values replaced by others."""
    document = json.loads(data)
    for _ in range(draw.randint(1, 2)):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = draw.choice(list(keys))
            if not isinstance(place[key], dict | list) or not place[key] or draw.random() < 0.2:
                break
            place = place[key]
        other: list[object] = [None, -1, 7, 1 << 33, 0.5, True, "", "a", "\ud800", [], {}, [["a"]]]
        place[key] = draw.choice(other)
    return json.dumps(document).encode()


def attempt(data: bytes, path: Path, read: Callable[[Path], Tokenizer]) -> None:
    """Read the bytes: what comes out works, or the refusal is one line that names the file."""
    path.write_bytes(data)
    try:
        tokenizer = read(path)
    except TokenizerError as error:
        line = str(error)
    else:
        line = ""
    if line:
        assert line.startswith(str(path)), line
        assert "\n" not in line
        return
    ids = tokenizer.encode(PASSAGE)
    assert set(ids).isdisjoint(tokenizer.special.values())
    tokenizer.decode(ids)
    assert all(0 <= i < tokenizer.size for i in ids)


def run(name: str, folder: Path, draw: random.Random, rounds: int) -> None:
    make, read = KINDS[name]
    path = folder / name
    make(path)
    whole = path.read_bytes()
    attempt(whole, path, read)
    for _ in range(rounds):
        as_values = name.endswith(".json") and draw.random() < 0.5
        data = (mutate_values if as_values else mutate)(whole, draw)
        try:
            attempt(data, path, read)
        except BaseException:
            (folder / f"failed-{name}").write_bytes(data)
            raise


@pytest.mark.parametrize("name", KINDS)
def test_any_bytes_are_a_tokenizer_or_refused_in_one_line(name, tmp_path):
    run(name, tmp_path, random.Random(7), 150)


if __name__ == "__main__":
    end = monotonic() + 60 * float(sys.argv[1])
    place = Path(tempfile.mkdtemp())
    seed = 0
    while monotonic() < end:
        for kind in KINDS:
            run(kind, place, random.Random(seed), 100)
        seed += 1
    print(f"{seed * 100:,} mutations of each of {len(KINDS)} files, nothing found")
