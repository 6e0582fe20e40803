"""What holds for any text: nothing is lost, nothing becomes control, fast equals slow."""

from collections import Counter

import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minbpe
from minbpe import BasicTokenizer, RegexTokenizer
from minbpe.base import count_pairs, merge_pair
from minbpe.regex import PATTERNS, apply_merges
from minbpe.stream import BORDER
from minbpe.trainer import learn_merges

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SPECIAL = ["<|startoftext|>", "<|separator|>", "<|endoftext|>"]
SAMPLE = (
    "the cat sat on the mat, <|endoftext|> then the дом и дом 🙂🙂 aaaaaaa   \n\n 2024 don't " * 3
)
TOKENIZERS = [
    BasicTokenizer.train(SAMPLE, 300),
    RegexTokenizer.train(SAMPLE, 400, "gpt4", SPECIAL),
    RegexTokenizer.train(SAMPLE, 400, "gpt2", SPECIAL),
    RegexTokenizer.train(SAMPLE, 400, "scripts", SPECIAL),
]

few_letters = st.text("ab", max_size=60)  # ties everywhere, long runs
runs = st.lists(
    st.tuples(st.sampled_from("ab é🙂"), st.integers(1, 20)).map(lambda run: run[0] * run[1]),
    max_size=8,
).map("".join)
short_texts = st.one_of(few_letters, runs, st.text(max_size=40))
chatty = st.lists(
    st.one_of(st.sampled_from([*SPECIAL, "<|", "|>", "the ", "endoftext"]), st.text(max_size=8)),
    max_size=8,
).map("".join)
tokenizers = st.sampled_from(TOKENIZERS)


@patient
@given(tokenizers, st.one_of(st.text(), chatty, runs))
def test_decoding_gives_the_text_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@patient
@given(tokenizers, st.text(st.characters(exclude_categories=[])))
def test_even_lone_surrogates_encode(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.encode(tokenizer.decode(ids)) == ids


@patient
@given(tokenizers, chatty)
def test_text_never_becomes_control(tokenizer, text):
    assert set(tokenizer.encode(text)).isdisjoint(tokenizer.special.values())


@patient
@given(st.sampled_from(TOKENIZERS[1:]), chatty)
def test_named_special_tokens_are_all_found_and_lose_nothing(tokenizer, text):
    ids = tokenizer.encode(text, allowed_special=SPECIAL)
    for name, special_id in tokenizer.special.items():
        assert ids.count(special_id) == text.count(name)
    assert tokenizer.decode(ids) == text


@patient
@given(tokenizers, st.binary(max_size=40))
def test_every_byte_string_decodes(tokenizer, data):
    assert tokenizer.decode_bytes(list(data)) == data
    assert tokenizer.decode(list(data)) == data.decode("utf-8", errors="replace")


@patient
@given(short_texts)
def test_the_fast_trainer_learns_what_the_lesson_learns(text):
    counts = {text.encode(): 1} if text else {}
    assert learn_merges(counts, 40) == list(BasicTokenizer.train(text, 296).merges)


@patient
@given(st.lists(st.one_of(few_letters, runs), max_size=8))
def test_counting_distinct_words_equals_counting_all_of_them_anew(words):
    ids = [list(word.encode()) for word in words]
    learned = learn_merges(Counter(word.encode() for word in words if word), 30)
    for new_id, pair in enumerate(learned, 256):
        counts = sum(map(count_pairs, ids), Counter())
        assert pair == min(counts, key=lambda pair: (-counts[pair], pair))
        ids = [merge_pair(word, pair, new_id) for word in ids]
    assert len(learned) == 30 or not any(map(count_pairs, ids))


@patient
@given(short_texts, short_texts)
def test_the_fast_encoder_gives_what_the_lesson_gives(training, text):
    tokenizer = BasicTokenizer.train(training, 290)
    assert apply_merges(list(text.encode()), tokenizer.merges) == tokenizer.encode(text)


@patient
@given(st.lists(few_letters, max_size=6))
def test_no_two_tokens_have_one_spelling(texts):
    vocab = RegexTokenizer.train(texts, 400).vocab
    assert len(set(vocab.values())) == len(vocab)


def test_saving_and_loading_changes_nothing(tmp_path):
    @patient
    @given(
        st.lists(short_texts, max_size=3),
        st.integers(256, 300),
        st.sampled_from(list(PATTERNS)),
        st.lists(st.text(min_size=5, max_size=9), unique=True, max_size=3),
        short_texts,
    )
    def same(texts, vocab_size, pattern, names, text):
        special = [f"<|{name}|>" for name in names]
        tokenizer = RegexTokenizer.train(texts, vocab_size, pattern, special)
        minbpe.save(tokenizer, tmp_path / "t.json")
        loaded = minbpe.load(tmp_path / "t.json")
        assert list(loaded.merges.items()) == list(tokenizer.merges.items())
        assert (loaded.special, loaded.pattern) == (tokenizer.special, tokenizer.pattern)
        assert loaded.encode(text) == tokenizer.encode(text)

    same()


LETTERS = "漢字あカ。，！？：  \n\r\t\u3000a1'sß\u0301\ufe0f\u20e3\u200d👍ー・ي्"


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@given(st.text(st.sampled_from(LETTERS), max_size=14))
def test_a_safe_border_is_one_of_every_pattern(pattern, text):
    split = regex.compile(PATTERNS[pattern]).findall
    for border in BORDER.finditer(text):
        before, after = text[: border.start()], text[border.start() :]
        assert split(before) + split(after) == split(text)
