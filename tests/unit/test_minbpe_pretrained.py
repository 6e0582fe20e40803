"""Somebody else's tokenizer keeps our promises: no control from text, nothing added, bytes back."""

from __future__ import annotations

import multiprocessing
import pickle

import pytest
from tokenizer_files import CONTROL, PASSAGE, gpt2_like, llama_like, saved

import minbpe
from minbpe import PretrainedTokenizer, TokenizerError
from minbpe.io.tokenizer_json import added_token, dump_json


def opened(content) -> PretrainedTokenizer:
    return PretrainedTokenizer(dump_json(content))


def with_added(content, *tokens):
    return content | {"added_tokens": [*content["added_tokens"], *tokens]}


@pytest.fixture(scope="module")
def gpt2():
    return opened(gpt2_like())


@pytest.fixture(scope="module")
def llama():
    return opened(llama_like())


def test_a_file_of_somebody_else_is_opened_by_load(tmp_path, gpt2):
    path = saved(gpt2_like(), tmp_path)
    for given in (path, str(path), tmp_path):
        tokenizer = minbpe.load(given)
        assert isinstance(tokenizer, PretrainedTokenizer)
        assert tokenizer.encode(PASSAGE) == gpt2.encode(PASSAGE)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: cannot be read"):
        minbpe.load(tmp_path)


def test_ids_and_bytes_are_those_of_the_file(gpt2):
    assert gpt2.special == {name: i for i, name in enumerate(CONTROL)}
    assert gpt2.size == 2 + len(gpt2.vocab) == 2 + 256 + len(gpt2.merges)
    assert gpt2.vocab[2] == b"!"
    for (left, right), joined in gpt2.merges.items():
        assert gpt2.vocab[joined] == gpt2.vocab[left] + gpt2.vocab[right]
    assert gpt2.decode(gpt2.encode(PASSAGE)) == PASSAGE
    assert gpt2.decode_bytes([0, 2]) == b"<|endoftext|>!"


def test_text_never_becomes_control_unless_it_is_named(gpt2):
    text = "<|endoftext|>the<|im_start|>"
    assert set(gpt2.encode(text)).isdisjoint(gpt2.special.values())
    ids = gpt2.encode(text, allowed_special={"<|im_start|>"})
    assert ids[-1] == gpt2.special["<|im_start|>"]
    assert gpt2.special["<|endoftext|>"] not in ids
    assert gpt2.encode(text, allowed_special=CONTROL)[0] == gpt2.special["<|endoftext|>"]
    with pytest.raises(TokenizerError, match="no special token '<s>'"):
        gpt2.encode(text, allowed_special={"<s>"})


@pytest.mark.parametrize("name", ["the", "x", "▁"])
def test_a_special_name_that_the_vocabulary_spells_too_is_cut(name):
    content = gpt2_like()
    vocab = content["model"]["vocab"]
    content = with_added(content, added_token(name, vocab.setdefault(name, len(vocab))))
    content["model"]["ignore_merges"] = True
    tokenizer = opened(content)
    text = f"{name} {name}{name} <|endoftext|>"
    assert set(tokenizer.encode(text)).isdisjoint(tokenizer.special.values())
    if name != "x":
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_nothing_is_added_cut_or_left_to_chance():
    content = llama_like() | {
        "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0}
        | {"direction": "Right"},
        "padding": {"strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": None}
        | {"pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"},
    }
    content["model"]["dropout"] = 0.9
    assert opened(content).encode("hello hello hello") == opened(llama_like()).encode(
        "hello hello hello"
    )


def test_byte_fallback_writes_any_text_and_leads_back(llama):
    assert llama.decode_bytes(llama.encode("hello ё")) == " hello ё".encode()
    for text in ("hello world", " hello", "", "ё🙂\n\x00", "</s>", "a_b"):
        ids = llama.encode(text)
        assert llama.decode(ids) == text
        assert set(ids).isdisjoint(llama.special.values())
        assert b"".join(llama.decode_bytes([i]) for i in ids) == llama.decode_bytes(ids)


def test_added_tokens_keep_their_ids_and_gaps_stand_for_nothing():
    content = with_added(gpt2_like(), added_token("<|late|>", 1000), added_token("  ", 900, False))
    tokenizer = opened(content)
    assert tokenizer.size == 1001
    assert tokenizer.special["<|late|>"] == 1000
    assert tokenizer.encode("<|late|>", allowed_special={"<|late|>"}) == [1000]
    assert 900 in tokenizer.encode("the  the")  # not marked special: ordinary text
    assert tokenizer.decode_bytes([950, 900]) == b"  "
    for wrong in (-1, 1001):
        with pytest.raises(TokenizerError, match="whose ids run 0 to 1000"):
            tokenizer.decode([wrong])


def test_our_special_tokens_are_added_at_the_end(gpt2, tmp_path):
    more = gpt2.with_special(["<|a|>", "<|endoftext|>", "<|b|>"])
    assert more.special == gpt2.special | {"<|a|>": gpt2.size, "<|b|>": gpt2.size + 1}
    assert more.encode(PASSAGE) == gpt2.encode(PASSAGE)
    assert gpt2.size + 2 == more.size
    minbpe.save(more, tmp_path / "t.json")
    again = minbpe.load(tmp_path / "t.json")
    assert again.special == more.special
    assert again.encode("<|b|>", allowed_special={"<|b|>"}) == [gpt2.size + 1]
    for wrong in ("", "the", "\ud800"):
        with pytest.raises(TokenizerError, match="special token"):
            gpt2.with_special([wrong])


def test_added_after_a_gap_they_follow_the_largest_id():
    gapped = opened(with_added(gpt2_like(), added_token("<|late|>", 1000)))
    assert gapped.with_special(["<|a|>"]).special["<|a|>"] == 1001


def test_it_can_be_sent_to_other_processes(gpt2):
    copy = pickle.loads(pickle.dumps(gpt2))
    assert copy.encode(PASSAGE) == gpt2.encode(PASSAGE)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(gpt2.encode, [PASSAGE]) == [gpt2.encode(PASSAGE)]


def test_its_vocabulary_is_readable(gpt2, llama, tmp_path):
    for tokenizer in (gpt2, llama):
        minbpe.save_vocab(tokenizer, tmp_path / "vocab.txt")
        lines = (tmp_path / "vocab.txt").read_text(encoding="utf-8").splitlines()
        assert len(lines) == tokenizer.size
        assert [int(line.split("\t")[0]) for line in lines] == list(range(tokenizer.size))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": {"type": "WordPiece", "vocab": {}}}, "WordPiece"),
        ({"model": {"type": "Unigram", "vocab": []}}, "Unigram"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "BPE without bytes"),
        ({"added_tokens": [added_token("<|x|>", 5)]}, "share an id"),
        ({"added_tokens": [added_token("the", 5000)]}, "one token has two"),
        ({"added_tokens": [added_token("<|x|>", 1 << 40)]}, "outside"),
        ({"decoder": {"type": "Nonsense"}}, "tokenizers says"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(change, said, tmp_path):
    path = saved(gpt2_like(**change), tmp_path)
    with pytest.raises(TokenizerError, match=said) as error:
        minbpe.load(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
