"""tiktoken's, the reference's and llama.cpp's files: kept to the id, or refused in one line."""

from __future__ import annotations

import base64
import struct
from importlib.util import find_spec

import pytest
from tokenizer_files import PASSAGE, byte_level_gguf, gpt2_like, sentencepiece_gguf, write_gguf

import minbpe
from minbpe import BasicTokenizer, PretrainedTokenizer, RegexTokenizer, TokenizerError, io
from minbpe.io.tokenizer_json import dump_json, to_letters
from minbpe.regex import PATTERNS
from pipeline.training.base_model import gguf_tokenizer

SPECIAL = ["<|endoftext|>", "<|ende|>"]


def state(tokenizer):
    return type(tokenizer), list(tokenizer.merges.items()), tokenizer.special, tokenizer.pattern


@pytest.fixture(params=list(PATTERNS))
def ours(request):
    return RegexTokenizer.train(PASSAGE, 330, request.param, SPECIAL)


def test_a_rank_file_there_and_back(ours, tmp_path):
    io.to_tiktoken(ours, tmp_path / "t.tiktoken")
    again = io.from_tiktoken(tmp_path / "t.tiktoken", ours.pattern, ours.special)
    assert state(again) == state(ours)


def test_a_rank_file_in_another_order_keeps_its_ids(tmp_path):
    theirs = PretrainedTokenizer(dump_json(gpt2_like()))
    io.to_tiktoken(theirs, tmp_path / "t.tiktoken")
    again = io.from_tiktoken(str(tmp_path / "t.tiktoken"), "gpt2", theirs.special)
    assert isinstance(again, PretrainedTokenizer)
    assert (again.special, again.size, again.merges) == (theirs.special, theirs.size, theirs.merges)
    assert again.encode(PASSAGE) == theirs.encode(PASSAGE)
    minbpe.save(again, tmp_path / "t.json")
    assert minbpe.load(tmp_path / "t.json").vocab == theirs.vocab


def test_special_tokens_anywhere_keep_their_ids(tmp_path):
    ours = RegexTokenizer.train(PASSAGE, 300)
    io.to_tiktoken(ours, tmp_path / "t.tiktoken")
    again = io.from_tiktoken(tmp_path / "t.tiktoken", "gpt4", {"<|b|>": 320, "<|a|>": 400})
    assert again.size == 401
    assert again.encode("<|a|>the", allowed_special={"<|a|>"}) == [400, *ours.encode("the")]
    assert again.encode(PASSAGE) == ours.encode(PASSAGE)
    minbpe.save(again, tmp_path / "t.json")
    assert minbpe.load(tmp_path / "t.json").special == {"<|b|>": 320, "<|a|>": 400}


def rank_file(*tokens):
    rows = [*(bytes([byte]) for byte in range(256)), *tokens]
    return "".join(f"{base64.b64encode(row).decode()} {i}\n" for i, row in enumerate(rows))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no rank for the byte"),
        ("YQ== 0\n", "no rank for the byte"),
        ("YQ==\n", "line 1: not a new token"),
        ("Y!== 0\n", "line 1: not a new token"),
        ("YQ== -1\n", "line 1: not a new token"),
        ("YQ== x\n", "line 1: not a new token"),
        ("YQ== 0\nYQ== 1\n", "line 2: not a new token"),
        ("YQ== 0\nYg== 0\n", "two tokens have one rank"),
        (rank_file(b"abc"), "rank 256 is not two tokens"),
        (rank_file(b"abc", b"ab"), "rank 256 is not two tokens"),
        (rank_file(b"ab", b"abab", b"aba"), None),
    ],
)
def test_rank_files(content, said, tmp_path):
    path = tmp_path / "t.tiktoken"
    path.write_text(content, encoding="utf-8")
    if said is None:
        assert io.from_tiktoken(path, "gpt4").encode("ababa") == [257, 97]
        return
    with pytest.raises(TokenizerError, match=said) as error:
        io.from_tiktoken(path, "gpt4")
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("pattern", "special", "said"),
    [
        ("gpt5", {}, "no pattern 'gpt5'"),
        ("gpt4", {"<|a|>": 97}, "id of another token"),
        ("gpt4", {"<|a|>": 300, "<|b|>": 300}, "id of another token"),
        ("gpt4", {"a": 300}, "'a' is also an ordinary token"),
        ("gpt4", {"": 256}, "empty"),
        ("gpt4", {"": 300}, "empty"),
        ("gpt4", {"<|a|>": -1}, "outside"),
    ],
)
def test_what_is_asked_of_a_rank_file_can_be_impossible(pattern, special, said, tmp_path):
    (tmp_path / "t.tiktoken").write_text(rank_file(), encoding="utf-8")
    with pytest.raises(TokenizerError, match=said):
        io.from_tiktoken(tmp_path / "t.tiktoken", pattern, special)


def test_a_rank_file_cannot_hold_what_does_not_follow_from_tokens(tmp_path):
    tangled = RegexTokenizer([(97, 98), (98, 99), (97, 257)])  # "abc" is "ab" + "c" by the ranks
    with pytest.raises(TokenizerError, match="do not follow from its tokens"):
        io.to_tiktoken(tangled, tmp_path / "t.tiktoken")
    assert not list(tmp_path.iterdir())


def test_a_reference_model_there_and_back(ours, tmp_path):
    io.to_reference(ours, tmp_path / "t.model")
    again = io.from_reference(str(tmp_path / "t.model"))
    assert state(again) == state(ours)


def test_a_reference_model_without_a_pattern_is_the_lesson(tmp_path):
    lesson = BasicTokenizer.train(PASSAGE, 280)
    io.to_reference(lesson, tmp_path / "t.model")
    assert state(io.from_reference(tmp_path / "t.model")) == state(lesson)


HEAD = f"minbpe v1\n{PATTERNS['gpt4']}\n"


def test_a_reference_model_is_what_the_reference_writes(tmp_path):
    tokenizer = RegexTokenizer([(104, 101), (0xD0, 10)], "gpt4", ["<|end|>"])
    io.to_reference(tokenizer, tmp_path / "t.model")
    assert (tmp_path / "t.model").read_text(encoding="utf-8") == (
        HEAD + "1\n<|end|> 258\n104 101\n208 10\n"
    )
    rows = (tmp_path / "t.vocab").read_text(encoding="utf-8").split("\n")
    assert rows[10] == "[\\u000a] 10"
    assert rows[208] == "[\ufffd] 208"
    joined = ["[h][e] -> [he] 256", "[\ufffd][\\u000a] -> [\ufffd\\u000a] 257"]
    assert rows[256:] == [*joined, "[<|end|>] 258", ""]


def test_special_ids_of_a_reference_model_are_kept(tmp_path):
    path = tmp_path / "t.model"
    path.write_text(HEAD + "2\n<|a|> 100257\n<|b|> 100276\n116 104\n256 101\n", encoding="utf-8")
    tokenizer = io.from_reference(path)
    assert tokenizer.special == {"<|a|>": 100257, "<|b|>": 100276}
    assert tokenizer.encode("the<|b|>", allowed_special={"<|b|>"}) == [257, 100276]
    with pytest.raises(TokenizerError, match="numbers the bytes first"):
        io.to_reference(tokenizer, path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "does not begin with 'minbpe v1'"),
        ("minbpe v2\n", "does not begin with"),
        ("minbpe v1", "damaged at line 2"),
        ("minbpe v1\n[a-z]+\n0\n", "a pattern of its own; train .* gpt2, gpt4"),
        (HEAD + "many\n", "damaged at line 3"),
        (HEAD + "2\n<|a|> 256\n", "damaged at line 5"),
        (HEAD + "2\n<|a|> 256\n<|a|> 257\n", "damaged at line 5"),
        (HEAD + "1\n<|a|>\n", "damaged at line 4"),
        (HEAD + "1\n<|a|> 97\n", "id of another token"),
        (HEAD + "0\n1 2 3\n", "damaged at line 4"),
        (HEAD + "0\n1 256\n", "merge 0 joins an id"),
    ],
)
def test_a_damaged_reference_model_is_refused(content, said, tmp_path):
    path = tmp_path / "t.model"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(TokenizerError, match=said) as error:
        io.from_reference(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "special", "said"),
    [
        ("t.vocab", [], "end in .model"),
        ("t.model", ["<|two words|>"], "has white space"),
    ],
)
def test_what_a_reference_model_cannot_hold(name, special, said, tmp_path):
    with pytest.raises(TokenizerError, match=said):
        io.to_reference(RegexTokenizer(special=special), tmp_path / name)
    assert not list(tmp_path.iterdir())


gguf = pytest.mark.skipif(not find_spec("gguf"), reason="needs gguf to write the file")


ONE_FIELD = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k"
HUGE_LIST = ONE_FIELD + struct.pack("<IIQ", 9, 4, 1 << 60)  # that many numbers of 32 bits
HUGE_TEXTS = ONE_FIELD + struct.pack("<IIQ", 9, 8, 1 << 60)


@gguf
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: byte_level_gguf(p, "deepseek-coder"), "the rule 'deepseek-coder'; known"),
        (lambda p: byte_level_gguf(p, tokenizer_model="t5"), "of kind 't5'; known are gpt2, llama"),
        (lambda p: sentencepiece_gguf(p, "gemma2"), "SentencePiece as in gemma2"),
        (lambda p: sentencepiece_gguf(p, add_space_prefix=False), "without a space"),
        (lambda p: byte_level_gguf(p, token_merges=["a b c"]), "a merge is not of two tokens"),
        (lambda p: byte_level_gguf(p, token_merges=["a zebra"]), "damaged"),
        (lambda p: byte_level_gguf(p, token_types=[1]), "token_type has 1 values"),
        (lambda p: byte_level_gguf(p, token_types=["1"] * 340), "token_type is not a list of int"),
        (lambda p: write_gguf(p, tokenizer_model="gpt2"), "tokens is not a list of str"),
        (lambda p: write_gguf(p), "of kind 'none'"),
        (lambda p: p.write_bytes(b"GGUF"), "damaged"),
        (lambda p: p.write_bytes(b"PK\x03\x04"), "is no GGUF file"),
        (lambda p: p.write_bytes(b"GGUF" + b"\xff" * 40), "version 4294967295"),
        (lambda p: p.write_bytes(b"GGUF\x03\0\0\0" + b"\0" * 8 + b"\xff" * 30), "damaged"),
        (lambda p: p.write_bytes(HUGE_LIST), "damaged"),
        (lambda p: p.write_bytes(HUGE_TEXTS), "damaged"),
        (lambda p: None, "cannot be read"),
    ],
)
def test_a_gguf_that_cannot_be_kept_is_refused(make, said, tmp_path):
    path = tmp_path / "m.gguf"
    make(path)
    with pytest.raises(TokenizerError, match=said) as error:
        gguf_tokenizer(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@gguf
def test_control_of_a_gguf_is_special_and_its_own_words_are_text(tmp_path):
    content = gpt2_like()
    tokens = [*content["model"]["vocab"], "<think>", "<｜begin▁of▁sentence｜>", "[PAD151]"]
    kinds = [3, 3] + [1] * (len(tokens) - 5) + [4, 3, 5]
    path = byte_level_gguf(tmp_path / "m.gguf", token_list=tokens, token_types=kinds)
    tokenizer = gguf_tokenizer(path)
    assert list(tokenizer.special) == ["<|endoftext|>", "<|im_start|>", "<｜begin▁of▁sentence｜>"]
    assert tokenizer.encode("<think>") == [tokens.index("<think>")]
    assert tokenizer.size == len(tokens)
    begin = tokenizer.encode(tokens[-2], allowed_special=[tokens[-2]])
    assert begin == [len(tokens) - 2]
    assert tokenizer.decode(begin) == "<｜begin▁of▁sentence｜>"


@gguf
def test_an_old_gguf_names_its_control_tokens(tmp_path):
    model = gpt2_like()["model"]
    path = write_gguf(
        tmp_path / "m.gguf",
        tokenizer_model="gpt2",
        token_list=list(model["vocab"]),
        token_merges=[" ".join(pair) for pair in model["merges"]],
        bos_token_id=0,
        eos_token_id=1,
    )
    assert gguf_tokenizer(path).special == {"<|endoftext|>": 0, "<|im_start|>": 1}


@gguf
def test_a_gguf_that_numbers_the_bytes_as_we_do_can_be_saved_and_opened(tmp_path):
    ours = RegexTokenizer.train(PASSAGE, 300, "gpt2", SPECIAL)
    spelled = [to_letters(token) for token in ours.vocab.values()]
    path = write_gguf(
        tmp_path / "m.gguf",
        tokenizer_model="gpt2",
        token_list=[*spelled, *SPECIAL],
        token_types=[1] * len(spelled) + [3, 3],
        token_merges=[f"{spelled[left]} {spelled[right]}" for left, right in ours.merges],
    )
    minbpe.save(gguf_tokenizer(path), tmp_path / "tokenizer.json")
    again = minbpe.load(tmp_path)
    assert (again.special, again.encode(PASSAGE)) == (ours.special, ours.encode(PASSAGE))
