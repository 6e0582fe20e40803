"""Whatever bytes are in a file: a chat or a refusal in one line, and no text that takes long.

The test runs a few mutations of each seed in `tests/data/exports`. For longer:
`python tests/property/test_fuzz.py MINUTES`.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from time import monotonic, process_time

from pipeline.cleaning.clean import clean
from pipeline.cleaning.message_rules import RULES
from pipeline.cleaning.personal import FINDERS
from pipeline.cleaning.ruleset import build_rules
from pipeline.common.errors import SoundalikeError
from pipeline.exports.read_export import read_export

SEEDS = sorted((Path(__file__).resolve().parents[1] / "data" / "exports").glob("*.txt"))
LARGEST = 1 << 20  # bytes
LEAST_RATE = 100_000  # bytes a second of the processor, on top of two seconds
BITS = [
    *(b"\n", b"\r\n", b"\r", b": ", b":", b" - ", b"[", b"] ", b"/", b".", b"<", b">", b"@", b'"'),
    *(b"\xe2\x80\x8e", b"\xe2\x80\x8f", b"\xe2\x80\xaf", b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"+"),
    *(b"12", b"2024", b"PM", b"3/5/24, 9:07 AM - ", b"[05.03.24, 09:07:01] ", b" added ", b" left"),
    *(
        b"https://",
        b"www.",
        b"a@b.",
        b"+44 77",
        b"DE89 3704 ",
        b"4111 1111 ",
        b"51.50214, ",
        b"March ",
    ),
]


def mutate(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """A few random changes: bits put in, cut out, doubled or repeated, other seeds spliced in."""
    for _ in range(draw.randint(1, 8)):
        at, to = sorted(draw.choices(range(len(data) + 1), k=2))
        bit = draw.choice(BITS)
        change = draw.randrange(7)
        data = (
            data[:at] + bit + data[at:],
            data[:at] + data[to:],
            data[:to] + data[at:],
            data[:at] + draw.choice(others)[at:to] + data[to:],
            data[:at] + bit * draw.choice((2, 50, 5_000)) + data[at:],
            data[:at] + data[at:to] * draw.choice((2, 30, 1_000)) + data[to:],
            data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :],
        )[change][:LARGEST]
    return data


def attempt(data: bytes, folder: Path) -> None:
    """Read and clean one file; raises AssertionError when it takes long or is refused badly."""
    path = folder / "chat.txt"
    path.write_bytes(data)
    rules = build_rules("private", tuple(RULES), dict.fromkeys(FINDERS, "auto"), ["GB"], ["Ann"])
    start = process_time()
    try:
        for _ in clean(read_export(path).messages, rules):
            pass
    except SoundalikeError as error:
        assert "\n" not in str(error)  # noqa: PT017
    took = process_time() - start
    assert took < 2 + len(data) / LEAST_RATE, f"{took:.1f} s for {len(data):,} bytes"


def test_seeds_and_a_few_mutations(tmp_path: Path) -> None:
    seeds = [path.read_bytes() for path in SEEDS]
    assert seeds
    draw = random.Random(7)
    for seed in seeds:
        attempt(seed, tmp_path)
        for _ in range(5):
            attempt(mutate(seed, seeds, draw)[: LARGEST >> 4], tmp_path)


def main(minutes: float) -> None:
    seeds = [path.read_bytes() for path in SEEDS]
    draw = random.Random()
    until, runs = monotonic() + 60 * minutes, 0
    with tempfile.TemporaryDirectory() as folder:
        while monotonic() < until:
            data = mutate(draw.choice(seeds), seeds, draw)
            try:
                attempt(data, Path(folder))
            except Exception:
                Path("fuzz-failure.txt").write_bytes(data)
                raise
            runs += 1
    sys.stdout.write(f"{runs:,} files, no crash, nothing slow\n")


if __name__ == "__main__":
    main(float(sys.argv[1]))
