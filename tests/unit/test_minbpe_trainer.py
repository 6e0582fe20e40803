"""The fast trainer beyond what equality with the lesson (property tests) already says."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minbpe import RegexTokenizer, trainer
from minbpe.trainer import learn_merges

ROOT = Path(__file__).resolve().parents[2]

TEXTS = ["the cat sat on the mat", "that hat", "a mat, a hat, a cat"]


def test_the_order_of_texts_does_not_matter():
    merges = RegexTokenizer.train(TEXTS, 300).merges
    assert len(merges) > 10
    assert RegexTokenizer.train(reversed(TEXTS), 300).merges == merges


def test_weights_count_as_repetitions():
    assert learn_merges({b"ab": 2, b"bc": 3}, 1) == [(98, 99)]
    assert learn_merges({b"ab": 3, b"bc": 2}, 1) == [(97, 98)]
    assert learn_merges({b"ab": 2, b"bc": 2}, 1) == [(97, 98)]


def test_progress_rises_to_the_number_of_merges():
    calls = []
    merges = learn_merges({bytes(range(60)): 1}, 20, lambda *call: calls.append(call))
    assert len(merges) == 20
    assert calls == sorted(set(calls))
    assert calls[-1] == (20, 20)


def test_pairs_below_the_minimum_are_not_merged():
    counts = {b"abc": 5, b"bcd": 4, b"xy": 3}
    assert learn_merges(dict(counts), 10, minimum=10) == []
    assert learn_merges(dict(counts), 10, minimum=5) == [(98, 99), (97, 256)]
    assert len(learn_merges(dict(counts), 10)) == 4
    assert learn_merges(dict(counts), 10, minimum=0) == learn_merges(dict(counts), 10)


def test_there_may_be_nothing_to_merge():
    assert learn_merges({}, 10) == []
    assert learn_merges({b"a": 7, b"b": 1}, 10) == []


def test_more_pairs_than_there_was_room_for(monkeypatch):
    draw = random.Random(5)
    words = {bytes(draw.choices(range(256), k=400)): 1 for _ in range(500)}
    cramped = learn_merges(dict(words), 300)
    monkeypatch.setattr(trainer, "_NEW_PAIRS", 1000)
    assert learn_merges(words, 300) == cramped


def test_counts_beyond_32_bits():
    assert learn_merges({b"ab": 1 << 40, b"bc": (1 << 40) + 1}, 1) == [(98, 99)]


@pytest.mark.parametrize("letters", [b"a", b"ab", b"abcabd"])
def test_a_very_long_word_is_learned_quickly(letters):
    start = time.process_time()
    merges = learn_merges({letters * (1_000_000 // len(letters)): 1}, 1000)
    assert 10 < len(merges) < 60
    assert time.process_time() - start < 10  # an algorithm in n² would take hours


def test_ties_everywhere_are_learned_quickly():
    draw = random.Random(7)
    words = {bytes(draw.choices(b"abcd", k=12)): 1 for _ in range(50_000)}
    start = time.process_time()
    assert len(learn_merges(words, 3000)) == 3000
    assert time.process_time() - start < 10


@pytest.mark.slow
def test_it_works_where_nothing_can_be_kept_on_disk(tmp_path):
    """numba refuses to cache when neither the package nor the home can be written to."""
    code = (
        "import numba\n"
        "real = numba.njit\n"
        "def njit(*types, cache=False, **options):\n"
        "    if cache: raise RuntimeError('cannot cache function: no locator available')\n"
        "    return real(*types, **options)\n"
        "numba.njit = njit\n"
        "from minbpe.trainer import learn_merges\n"
        "assert learn_merges({b'abab': 1}, 2) == [(97, 98), (256, 256)]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
