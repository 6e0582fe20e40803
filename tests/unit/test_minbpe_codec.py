"""Bulk encoding: the ids of `encode`, whatever the cuts, the workers and the kind of tokenizer."""

import time

import numpy as np
import pytest

from minbpe import BasicTokenizer, RegexTokenizer, TokenizerError, codec, stream
from minbpe.regex import PATTERNS

TEXT = "".join(
    f"Ana: {n} dogs, {n * n} кошек\n  and don't मत भूलो 👩\u200d👧 <|end|>\n\n" for n in range(900)
)
SPECIAL = ["<|end|>", "<|other|>"]


@pytest.fixture(scope="module", params=list(PATTERNS))
def tokenizer(request):
    return RegexTokenizer.train(TEXT, 600, request.param, SPECIAL)


def whole(arrays):
    return np.concatenate(list(arrays)).tolist()


def test_bulk_gives_the_same_ids(tokenizer):
    bulk = codec.bulk(tokenizer)
    assert bulk.encode(TEXT) == tokenizer.encode(TEXT)
    assert bulk.encode("") == []
    assert bulk.encode("half \ud83d a pair") == tokenizer.encode("half \ud83d a pair")
    assert (bulk.size, bulk.special) == (tokenizer.size, tokenizer.special)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_pieces_in_any_number_of_processes_are_the_whole(tokenizer, workers):
    pieces = list(stream.cut(TEXT, 5000))
    assert len(pieces) > 8
    found = whole(codec.encode_pieces(tokenizer, pieces, workers))
    assert found == tokenizer.encode(TEXT)


def test_only_named_special_tokens_are_recognised(tokenizer):
    assert tokenizer.special["<|end|>"] not in codec.bulk(tokenizer).encode(TEXT)
    pieces = list(stream.cut(TEXT, 5000))
    found = whole(codec.encode_pieces(tokenizer, pieces, 2, ["<|end|>"]))
    assert found == tokenizer.encode(TEXT, ["<|end|>"])
    assert found.count(tokenizer.special["<|end|>"]) == 900
    with pytest.raises(TokenizerError, match="nope"):
        list(codec.encode_pieces(tokenizer, ["text"], 1, ["<|nope|>"]))


class Letters:
    """A tokenizer of another kind, as a pretrained model brings it."""

    size = (1 << 17) + 1

    def __init__(self):
        self.special = {"<|end|>": 1 << 17}

    def encode(self, text):
        return [ord(letter) for letter in text]


@pytest.mark.parametrize("other", [Letters(), BasicTokenizer.train("hello hello", 260)])
def test_a_tokenizer_of_another_kind_is_used_as_it_is(other):
    text = "hello 🙂\nworld\n" * 5
    pieces = list(stream.cut(text, 20))
    expected = [i for piece in pieces for i in other.encode(piece)]
    assert codec.bulk(other) is other
    assert whole(codec.encode_pieces(other, pieces, 2)) == expected


def test_ids_take_two_bytes_while_they_fit():
    assert next(codec.encode_pieces(RegexTokenizer(), ["a"])).dtype == np.uint16
    assert codec.id_type(Letters()) == np.uint32


@pytest.mark.parametrize("letters", ["a", "ab", " ", "\n", " \t", "\u3000", "!", "7", "é", "ह्"])
def test_a_megabyte_of_the_same_is_encoded_quickly(tokenizer, letters):
    text = letters * (1_000_000 // len(letters.encode()))
    start = time.process_time()
    found = codec.bulk(tokenizer).encode(text)
    assert time.process_time() - start < 10  # an algorithm in n² would take hours
    assert tokenizer.decode(found) == text


@pytest.mark.parametrize("blank", [" ", "\u3000", " \n"])
def test_more_blanks_than_tiktoken_can_match(tokenizer, blank):
    text = f"a{blank * 600_000}b"
    found = codec.bulk(tokenizer).encode(text)
    assert found == tokenizer.encode(text)
