"""Counting: the same as the pattern over the whole text, for any cuts, workers and samples."""

from collections import Counter

import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minbpe import RegexTokenizer, TokenizerError, stream
from minbpe.counting import SAMPLED, count, count_pieces
from minbpe.regex import PATTERNS

patterns = st.sampled_from(list(PATTERNS))
text = st.lists(
    st.one_of(
        st.sampled_from([" ", "  ", "\n", "\r\n", "\t ", "\u3000", "'s", "a", "word", "!?", ".\n"]),
        st.sampled_from(
            ["12", "3\ufe0f\u20e3", "बिल्ली", "👩\u200d👧", "é", "e\u0301", "\x1c", "\x85"]
        ),
        st.text(max_size=4),
    ),
    max_size=30,
).map("".join)


def plainly(texts, pattern):
    return Counter(piece for text in texts for piece in regex.findall(PATTERNS[pattern], text))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(st.lists(text, max_size=4), patterns)
def test_counting_part_by_part_equals_the_pattern_over_the_whole(texts, pattern):
    split = regex.compile(PATTERNS[pattern]).findall
    assert count(texts, split) == plainly(texts, pattern)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(text, patterns, st.integers(1, 12))
def test_no_pattern_matches_across_a_cut(text, pattern, size):
    assert plainly(stream.cut(text, size), pattern) == plainly([text], pattern)


TALK = [
    f"{who}: {n} कुत्ता {n * n} собака, {'ha' * (n % 9)} 狗\n"
    for n in range(4000)
    for who in ("Ana", "بسمة")
]


@pytest.fixture
def small_pieces(monkeypatch):
    """Enough pieces for several processes, of little text."""
    monkeypatch.setattr(stream.batches, "__defaults__", (1 << 13,))


def test_any_number_of_workers_counts_the_same(small_pieces):
    expected = {p.encode(): n for p, n in plainly(TALK, "gpt4").items()}
    assert len(list(stream.batches(TALK))) > 20
    for workers in (1, 2, 3):
        assert count_pieces(TALK, PATTERNS["gpt4"], workers) == expected


def test_any_number_of_workers_learns_the_same_merges(small_pieces):
    learned = [RegexTokenizer.train(TALK, 600, "scripts", workers=w).merges for w in (1, 2, 3)]
    assert len(learned[0]) == 600 - 256
    assert learned[0] == learned[1] == learned[2]
    assert list(learned[0]) == list(learned[1]) == list(learned[2])


def test_files_and_texts_teach_the_same(tmp_path):
    path = tmp_path / "talk.txt"
    path.write_bytes("".join(TALK).encode())
    assert RegexTokenizer.train(path, 400).merges == RegexTokenizer.train("".join(TALK), 400).merges
    both = RegexTokenizer.train([path, *TALK], 400).merges
    assert both == RegexTokenizer.train(TALK, 400).merges  # twice the counts, the same order


def test_a_sample_depends_on_the_text_and_the_seed_alone():
    long = "".join(f"line {n} of a long text, {n * 7919 % 10_007}\n" for n in range(30_000))

    def total(texts, share, seed=0):
        return sum(count_pieces(texts, PATTERNS["gpt4"], 1, share, seed).values())

    whole = total(long, 1.0)
    assert 0.3 < total(long, 0.5) / whole < 0.7
    assert len({total(long, 0.5, seed) for seed in range(3)}) == 3
    lines = long.splitlines(keepends=True)
    assert count_pieces(lines, PATTERNS["gpt4"], 1, 0.5) == count_pieces(
        reversed(lines), PATTERNS["gpt4"], 1, 0.5
    )
    assert total(long[: 20 * SAMPLED], 1.0 - 1e-9) == total(long[: 20 * SAMPLED], 1.0)


def test_a_sample_of_nothing_is_refused():
    with pytest.raises(TokenizerError, match="larger fraction"):
        RegexTokenizer.train("hello", 300, sample=1e-6)
    assert RegexTokenizer.train([], 300, sample=0.5).size == 256
