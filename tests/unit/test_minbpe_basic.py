"""The lesson: which pair is merged, and when training ends."""

import pytest

from minbpe import BasicTokenizer, TokenizerError


def test_the_most_frequent_pair_comes_first():
    # "aa" occurs 4 times; then "ab" twice, as does "Za": the smaller left id wins.
    tokenizer = BasicTokenizer.train("aaabdaaabac", 259)
    assert list(tokenizer.vocab.values())[256:] == [b"aa", b"ab", b"aaab"]
    assert tokenizer.encode("aaabdaaabac") == [258, ord("d"), 258, ord("a"), ord("c")]


def test_equal_counts_go_to_the_smaller_pair_not_to_the_first():
    assert list(BasicTokenizer.train("zy xb xa", 257).merges) == [(32, 120)]
    assert list(BasicTokenizer.train("zyba", 257).merges) == [(98, 97)]


@pytest.mark.parametrize(("text", "size"), [("", 256), ("a", 256), ("ab", 257), ("abcd", 259)])
def test_training_ends_when_no_pair_is_left(text, size):
    assert BasicTokenizer.train(text, 1000).size == size


def test_a_vocabulary_without_merges_is_bytes():
    assert BasicTokenizer.train("aaaa", 256).encode("aé") == [97, 0xC3, 0xA9]


def test_a_vocabulary_smaller_than_the_bytes_is_refused():
    with pytest.raises(TokenizerError, match="vocab_size is 255"):
        BasicTokenizer.train("text", 255)
