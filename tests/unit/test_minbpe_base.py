"""What follows from the merges alone: ids, sizes, the way back, and refusals."""

import pytest

from minbpe import BasicTokenizer, RegexTokenizer, TokenizerError
from minbpe.base import count_pairs, merge_pair, replace_surrogates

HELLO = [(108, 108), (104, 101), (257, 256)]  # "ll", "he", "hell"


def test_overlapping_pairs_are_counted():
    assert count_pairs([7, 7, 7, 5]) == {(7, 7): 2, (7, 5): 1}


@pytest.mark.parametrize(
    ("ids", "merged"),
    [
        ([], []),
        ([7], [7]),
        ([7, 7, 7], [300, 7]),
        ([7, 7, 7, 7], [300, 300]),
        ([5, 7, 7], [5, 300]),
        ([7, 5, 7], [7, 5, 7]),
    ],
)
def test_merging_goes_from_left_to_right(ids, merged):
    assert merge_pair(ids, (7, 7), 300) == merged


def test_ids_are_bytes_then_merges_then_special_tokens():
    tokenizer = RegexTokenizer(HELLO, special=["<|b|>", "<|a|>"])
    assert tokenizer.vocab[65] == b"A"
    assert tokenizer.vocab[258] == b"hell"
    assert tokenizer.special == {"<|b|>": 259, "<|a|>": 260}
    assert tokenizer.size == 261
    assert set(tokenizer.vocab).isdisjoint(tokenizer.special.values())


@pytest.mark.parametrize("kind", [BasicTokenizer, RegexTokenizer])
def test_both_kinds_replay_the_merges_in_order(kind):
    assert kind(HELLO).encode("hello, shell") == [258, 111, 44, 32, 115, 258]


def test_special_tokens_decode_to_their_names():
    tokenizer = RegexTokenizer(special=["<|ende🙂|>"])
    assert tokenizer.decode([65, 256, 66]) == "A<|ende🙂|>B"


def test_parts_of_a_character_are_kept_as_bytes_and_shown_as_a_replacement():
    ids = RegexTokenizer().encode("é")
    assert RegexTokenizer().decode_bytes(ids[:1]) == b"\xc3"
    assert RegexTokenizer().decode(ids[:1]) == "\ufffd"


@pytest.mark.parametrize("bad", [-1, 259, 10**9])
def test_an_id_outside_the_vocabulary_is_named(bad):
    with pytest.raises(TokenizerError, match=rf"id {bad} .* 0 to 258"):
        RegexTokenizer(HELLO).decode([104, bad])


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("plain \ufeffé🙂", "plain \ufeffé🙂"),
        ("\ud83d\ude42", "🙂"),
        ("a\ud83d", "a\ufffd"),
        ("\ude42\ud83d!", "\ufffd\ufffd!"),
    ],
)
def test_surrogates_are_joined_or_replaced(text, mended):
    assert replace_surrogates(text) == mended
    for tokenizer in (BasicTokenizer(), RegexTokenizer()):
        assert tokenizer.decode(tokenizer.encode(text)) == mended


@pytest.mark.parametrize(
    "merges",
    [
        [(104, 256)],
        [(-1, 104)],
        [(97, 98), (97, 98)],
        [(97, 98), (98, 99), (256, 99), (97, 257)],
    ],
    ids=["unknown id", "negative id", "same pair", "same spelling"],
)
def test_impossible_merges_are_refused(merges):
    with pytest.raises(TokenizerError, match=rf"merge {len(merges) - 1}"):
        RegexTokenizer(merges)


@pytest.mark.parametrize("names", [[""], ["<|a|>", "<|a|>"], ["\ud83d"]])
def test_impossible_special_names_are_refused(names):
    with pytest.raises(TokenizerError, match="special token"):
        RegexTokenizer(special=names)
