"""A tokenizer from 900 million characters with millions of distinct words: minutes, and memory.

    python bench/zipf.py write FOLDER/zipf.txt       invents the text, about 1.6 GB on disk
    python bench/zipf.py train FOLDER/zipf.txt

Words are drawn with a frequency of one over their rank (Zipf) from eight million, in six scripts;
word number n is n spelled in the letters of its script, so no list of words is kept. Without a
path: a million characters, for a quick look.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from measuring import watched  # noqa: E402

WORDS = 8_000_000
SCRIPTS = (
    ("bcdfghklmnprstvw", "aeiou"),
    ("бвгдзклмнпрстхчш", "аеиоуы"),
    ("βγδθκλμνξπρστφχψ", "αεηιου"),
    ("بتثجدرزسشصطعفقكلمن", "اويَُِ"),
    ("कखगचजटडतदनपबमरलवसह", "ािीुेो"),
    ("가나다라마바사아자차카타파하거너", "고노도로모보"),
)
LETTERS = np.array([[[ord(c) for c in f"{part:0<20}"] for part in script] for script in SCRIPTS])
SIZES = np.array([[len(part) for part in script] for script in SCRIPTS])
ENDS = np.array([[ord(c) for c in f"{end:0<2}"] for end in (*[" "] * 7, ", ", ". ", "\n")])
LONGEST = 8  # letters
NOTHING = ord("0")


def spelled(numbers: Any) -> Any:
    """Numbers → the code points of their words, a row each: consonants and vowels in turn."""
    numbers, scripts = np.divmod(numbers, len(SCRIPTS))
    letters = np.full((len(numbers), LONGEST), NOTHING)
    for place in range(LONGEST):
        sizes = SIZES[scripts, place % 2]
        letter = LETTERS[scripts, place % 2, numbers % sizes]
        letters[:, place] = np.where((numbers > 0) | (place == 0), letter, NOTHING)
        numbers //= sizes
    return letters


def text(characters: int, seed: int = 1) -> Iterator[str]:
    """At least `characters` characters, in blocks of 200,000 words."""
    draw = np.random.default_rng(seed)
    while characters > 0:
        ranks = np.exp(draw.random(200_000) * np.log(WORDS)).astype(np.int64)
        codes = np.hstack([spelled(ranks), ENDS[draw.integers(len(ENDS), size=len(ranks))]])
        block = codes[codes != NOTHING].astype("<u4").tobytes().decode("utf-32-le")
        characters -= len(block)
        yield block


def write(path: Path, characters: int) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for block in text(characters):
            file.write(block)


def train(path: Path, vocab: int) -> None:
    output, peak = watched([__file__, "alone", str(path), "--vocab", str(vocab)])
    print(f"{output.strip()}, at most {peak:,.0f} MB")


def alone(path: Path, vocab: int) -> None:
    """In the measured process: count, merge, and say how long each took."""
    from minbpe.counting import count_pieces
    from minbpe.regex import PATTERNS
    from minbpe.trainer import learn_merges

    start = time.perf_counter()
    counts = count_pieces(path, PATTERNS["gpt4"])
    counted, distinct = time.perf_counter(), len(counts)
    merges = learn_merges(counts, vocab - 256)
    merged = time.perf_counter()
    print(
        f"{path.stat().st_size / 1e6:,.0f} MB, {distinct:,} distinct pieces, "
        f"{len(merges):,} merges: "
        f"counting {counted - start:.1f} s, merging {merged - counted:.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["write", "train", "alone"], nargs="?", default="train")
    parser.add_argument("path", type=Path, nargs="?")
    parser.add_argument("--characters", type=int, default=900_000_000)
    parser.add_argument("--vocab", type=int, default=32_768)
    given = parser.parse_args()
    if given.path is None:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "zipf.txt", 1_000_000)
            train(Path(folder) / "zipf.txt", given.vocab)
    elif given.what == "write":
        write(given.path, given.characters)
    else:
        {"train": train, "alone": alone}[given.what](given.path, given.vocab)


if __name__ == "__main__":
    main()
