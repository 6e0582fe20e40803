"""Splitting, special tokens, early ends, and the limits that keep encoding quick and small."""

import time

import pytest
import regex

import minbpe.regex
from minbpe import RegexTokenizer, TokenizerError
from minbpe.regex import PATTERNS

TEXT = "hello hello world, hello 12345 12345 world! I'll we'll I'LL\n\n  hello\n"
SPECIAL = ["<|endoftext|>", "<|end|>"]


@pytest.fixture(scope="module")
def tokenizer():
    return RegexTokenizer.train(TEXT, 290, special=SPECIAL)


@pytest.mark.parametrize(
    "whole",
    [
        "بِسْمِ",  # Arabic with vowel marks
        "الســــلام",  # with tatweel
        "می\u200cخواهم",  # Persian with a zero-width non-joiner
        "बिल्ली",  # Devanagari with vowel signs and virama
        "ക്\u200dഷ",  # Malayalam with a zero-width joiner
        "ภาษาไทย",
        "e\u0301te\u0301",  # Latin with combining marks
        "👩\u200d👩\u200d👧",
        "👍🏽",
        "❤\ufe0f\u200d🔥",
        "🇩🇪🇫🇷",
        "7\ufe0f\u20e3",
        "#\u20e3",
    ],
)
def test_the_third_pattern_keeps_words_and_emoji_of_any_script_whole(whole):
    split = regex.compile(PATTERNS["scripts"]).findall
    assert split(whole) == [whole]
    assert split(f"ok {whole} ok")[-2:] in ([f" {whole}", " ok"], [whole, " ok"])
    assert [piece.strip() for piece in split(f"{whole}\n{whole}.")] == [whole, "", whole, "."] or (
        split(f"{whole}\n{whole}.") == [f"{whole}\n", f"{whole}."]
    )


def test_a_keycap_is_taken_off_the_end_of_a_number():
    assert regex.findall(PATTERNS["scripts"], "1234\ufe0f\u20e3") == ["123", "4\ufe0f\u20e3"]
    assert regex.findall(PATTERNS["scripts"], "123\u20e3") == ["12", "3\u20e3"]


@pytest.mark.parametrize(
    ("pattern", "pieces"),
    [
        ("gpt4", ["hello", " world", "!!", " I", "'LL", "   ", " ", "123", "45", " \n"]),
        ("gpt2", ["hello", " world", "!!", " I", "'", "LL", "   ", " 12345", " \n"]),
    ],
)
def test_a_pattern_splits_as_its_model_does(pattern, pieces):
    texts = ["hello world!! I'LL    12345 \n"]
    tokenizer = RegexTokenizer.train(texts * 2, 1000, pattern)
    longest = {tokenizer.vocab[i].decode() for i in tokenizer.encode(texts[0])}
    assert longest == set(pieces)


def test_no_token_reaches_across_pieces_or_texts(tokenizer):
    assert not any(b" " in token[1:] and token.strip() for token in tokenizer.vocab.values())
    assert RegexTokenizer.train(["ab", "ab"], 1000).size == 257


def test_special_ids_follow_the_real_vocabulary_when_training_ends_early():
    tokenizer = RegexTokenizer.train("abc", 1000, special=SPECIAL)
    assert tokenizer.special == {"<|endoftext|>": 258, "<|end|>": 259}
    assert tokenizer.size == 260


def test_text_never_becomes_control(tokenizer):
    ids = tokenizer.encode("<|endoftext|>")
    assert max(ids) < len(tokenizer.vocab)
    assert tokenizer.decode(ids) == "<|endoftext|>"


def test_only_the_named_special_tokens_are_recognised(tokenizer):
    text = "<|end|>hello<|endoftext|>"
    ids = tokenizer.encode(text, allowed_special={"<|end|>"})
    assert ids[0] == tokenizer.special["<|end|>"]
    assert ids[1:] == tokenizer.encode("hello<|endoftext|>")
    ids = tokenizer.encode(text, allowed_special=SPECIAL)
    assert (ids[0], ids[-1]) == (tokenizer.special["<|end|>"], tokenizer.special["<|endoftext|>"])
    assert ids[1:-1] == tokenizer.encode("hello")


def test_of_overlapping_names_the_longest_wins():
    tokenizer = RegexTokenizer(special=["a", "a.*", "a.*b"])
    assert tokenizer.encode("a.*ba.*cxa", allowed_special=["a", "a.*", "a.*b"]) == [
        *(258, 257, ord("c"), ord("x"), 256)
    ]


def test_naming_a_special_token_that_is_not_there_is_refused(tokenizer):
    with pytest.raises(TokenizerError, match="nope"):
        tokenizer.encode("text", allowed_special={"<|nope|>"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab_size": 255}, "255"),
        ({"vocab_size": 300, "pattern": "gpt9"}, "gpt9.*gpt4"),
        ({"vocab_size": 300, "special": [""]}, "special token"),
    ],
)
def test_bad_settings_are_refused_before_the_texts_are_read(arguments, message):
    def unread():
        pytest.fail("the texts were read")
        yield ""

    with pytest.raises(TokenizerError, match=message):
        RegexTokenizer.train(unread(), **arguments)


def test_the_cache_is_bounded_and_changes_no_ids(tokenizer, monkeypatch):
    monkeypatch.setattr(minbpe.regex, "_CACHED_PIECES", 3)
    small = RegexTokenizer(tokenizer.merges, "gpt4")
    assert small.encode(TEXT) == small.encode(TEXT) == tokenizer.encode(TEXT)
    assert len(small._cache) <= 3
    small.encode("x" * 1000)
    assert "x" * 1000 not in small._cache


@pytest.mark.parametrize("letters", ["a", "ab", "hello"])
def test_a_very_long_piece_is_encoded_quickly(letters):
    tokenizer = RegexTokenizer.train(letters * 40, 300)
    text = letters * (200_000 // len(letters))
    start = time.process_time()
    ids = tokenizer.encode(text)
    assert time.process_time() - start < 5  # an algorithm in n² would take minutes
    assert len(ids) < 20_000
    assert tokenizer.decode(ids) == text


def test_every_character_belongs_to_a_piece():
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x30000)]))
    for pattern in PATTERNS:
        tokenizer = RegexTokenizer(pattern=pattern)
        assert tokenizer.decode(tokenizer.encode(everything)) == everything
