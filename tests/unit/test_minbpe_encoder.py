"""Encoding by tiktoken: the ids of `encode`, whatever the cuts, the workers and the tokenizer."""

import time
from itertools import chain

import pytest
from tokenizer_files import gpt2_like

from minbpe import BasicTokenizer, PretrainedTokenizer, RegexTokenizer, stream
from minbpe.encoder import id_type, with_tiktoken
from minbpe.io.tokenizer_json import dump_json
from minbpe.parallel import parallel_map
from minbpe.regex import PATTERNS

TEXT = "".join(
    f"Ana: {n} dogs, {n * n} кошек\n  and don't मत भूलो 👩\u200d👧 <|end|>\n\n" for n in range(900)
)
SPECIAL = ["<|end|>", "<|other|>"]


@pytest.fixture(scope="module", params=list(PATTERNS))
def tokenizer(request):
    return RegexTokenizer.train(TEXT, 600, request.param, SPECIAL)


def test_tiktoken_gives_the_same_ids(tokenizer):
    fast = with_tiktoken(tokenizer)
    assert fast.encode(TEXT) == tokenizer.encode(TEXT)
    assert fast.encode("") == []
    assert fast.encode("half \ud83d a pair") == tokenizer.encode("half \ud83d a pair")
    assert (fast.size, fast.special) == (tokenizer.size, tokenizer.special)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_pieces_in_any_number_of_processes_are_the_whole(tokenizer, workers):
    pieces = list(stream.cut(TEXT, 5000))
    assert len(pieces) > 8
    ids = parallel_map(with_tiktoken(tokenizer).encode, pieces, workers)
    assert list(chain.from_iterable(ids)) == tokenizer.encode(TEXT)


def test_only_named_special_tokens_are_recognised(tokenizer):
    fast = with_tiktoken(tokenizer)
    assert tokenizer.special["<|end|>"] not in fast.encode(TEXT)
    ids = fast.encode(TEXT, ["<|end|>"])
    assert ids == tokenizer.encode(TEXT, ["<|end|>"])
    assert ids.count(tokenizer.special["<|end|>"]) == 900


@pytest.mark.parametrize(
    "other",
    [PretrainedTokenizer(dump_json(gpt2_like())), BasicTokenizer.train("hello hello", 260)],
)
def test_a_tokenizer_of_another_kind_is_used_as_it_is(other):
    pieces = list(stream.cut("hello 🙂\nworld\n" * 5, 20))
    assert with_tiktoken(other) is other
    assert list(parallel_map(other.encode, pieces, 2)) == [other.encode(p) for p in pieces]


def test_ids_take_two_bytes_while_they_fit():
    names = [f"<|{n}|>" for n in range((1 << 16) - 256 + 1)]
    assert id_type(RegexTokenizer(special=names[:-1])) == "uint16"
    assert id_type(RegexTokenizer(special=names)) == "uint32"


@pytest.mark.parametrize("letters", ["a", "ab", " ", "\n", " \t", "\u3000", "!", "7", "é", "ह्"])
def test_a_megabyte_of_the_same_is_encoded_quickly(tokenizer, letters):
    text = letters * (1_000_000 // len(letters.encode()))
    start = time.process_time()
    ids = with_tiktoken(tokenizer).encode(text)
    assert time.process_time() - start < 10  # an algorithm in n² would take hours
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("blank", [" ", "\u3000", " \n"])
def test_more_blanks_than_tiktoken_can_match(tokenizer, blank):
    text = f"a{blank * 600_000}b"
    assert with_tiktoken(tokenizer).encode(text) == tokenizer.encode(text)
