"""The fast trainer beyond what equality with the lesson (property tests) already says."""

import time

from minbpe import RegexTokenizer
from minbpe.trainer import learn_merges

TEXTS = ["the cat sat on the mat", "that hat", "a mat, a hat, a cat"]


def test_the_order_of_texts_does_not_matter():
    merges = RegexTokenizer.train(TEXTS, 300).merges
    assert len(merges) > 10
    assert RegexTokenizer.train(reversed(TEXTS), 300).merges == merges


def test_weights_count_as_repetitions():
    assert learn_merges({"ab": 2, "bc": 3}, 1) == [(98, 99)]
    assert learn_merges({"ab": 3, "bc": 2}, 1) == [(97, 98)]
    assert learn_merges({"ab": 2, "bc": 2}, 1) == [(97, 98)]


def test_progress_is_told_after_each_merge():
    calls = []
    learn_merges({"abcd": 1}, 10, lambda *call: calls.append(call))
    assert calls == [(1, 10), (2, 10), (3, 10)]


def test_a_long_run_of_one_letter_is_learned_quickly():
    start = time.process_time()
    merges = learn_merges({"a" * 100_000: 1}, 1000)
    assert len(merges) < 40
    assert time.process_time() - start < 5  # an algorithm in n² would take minutes
