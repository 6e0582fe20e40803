"""The files: whole or absent, the same after reading, refused when damaged."""

import json
from pathlib import Path

import pytest

import minbpe
from minbpe import BasicTokenizer, RegexTokenizer, TokenizerError

TEXT = "the cat sat on the mat\nthe 🙂 cat\tsat «дом» дом дом\n"
SPECIAL = ["<|endoftext|>", "<|ende|>"]


@pytest.fixture
def tokenizer():
    return RegexTokenizer.train(TEXT, 300, special=SPECIAL)


@pytest.fixture
def saved(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    minbpe.save(tokenizer, path)
    return path


def state(tokenizer):
    return type(tokenizer), list(tokenizer.merges.items()), tokenizer.special, tokenizer.pattern


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4"])
def test_loading_gives_the_saved_tokenizer(pattern, tmp_path):
    tokenizer = RegexTokenizer.train(TEXT, 300, pattern, SPECIAL)
    minbpe.save(tokenizer, str(tmp_path / "t.json"))
    loaded = minbpe.load(str(tmp_path / "t.json"))
    assert state(loaded) == state(tokenizer)
    assert loaded.vocab == tokenizer.vocab


def test_the_lesson_can_be_saved_too(tmp_path):
    tokenizer = BasicTokenizer.train(TEXT, 280)
    minbpe.save(tokenizer, tmp_path / "t.json")
    assert state(minbpe.load(tmp_path / "t.json")) == state(tokenizer)


def test_saving_twice_gives_the_same_bytes(tokenizer, saved):
    before = saved.read_bytes()
    minbpe.save(minbpe.load(saved), saved)
    assert saved.read_bytes() == before
    assert b"\r" not in before


def edited(change):
    """A damage that edits the parsed file."""

    def damage(path: Path):
        document = json.loads(path.read_text(encoding="utf-8"))
        document = change(document) or document
        path.write_text(json.dumps(document), encoding="utf-8")

    return damage


def cut(path: Path):
    path.write_bytes(path.read_bytes()[:-100])


def set_in(*keys, value):
    def change(document):
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return edited(change)


DAMAGES = {
    "cut short": cut,
    "empty": lambda path: path.write_bytes(b""),
    "not UTF-8": lambda path: path.write_bytes(b'{"a": "\xff"}'),
    "bottomless": lambda path: path.write_text("[" * 100_000, encoding="utf-8"),
    "gone": lambda path: path.unlink(),
    "a list": edited(lambda document: [document]),
    "no model": edited(lambda document: {k: v for k, v in document.items() if k != "model"}),
    "no merges": set_in("model", "merges", value=[]),
    "merges of another kind": set_in("model", "merges", value=["t h"]),
    "merges of three": set_in("model", "merges", 0, value=["t", "h", "e"]),
    "merges of numbers": set_in("model", "merges", 0, value=[1, 2]),
    "merge twice": edited(lambda d: d["model"]["merges"].append(d["model"]["merges"][0])),
    "merges swapped": edited(lambda d: d["model"]["merges"].reverse()),
    "vocabulary of another kind": set_in("model", "vocab", value=[]),
    "id moved": set_in("model", "vocab", "a", value=99),
    "token missing": edited(lambda d: d["model"]["vocab"].pop("z") and None),
    "special id moved": set_in("added_tokens", 0, "id", value=5),
    "special name a number": set_in("added_tokens", 0, "content", value=5),
    "special name empty": set_in("added_tokens", 0, "content", value=""),
    "unknown pattern": set_in("pre_tokenizer", "pretokenizers", 0, "pattern", value={"Regex": "."}),
    "a normalizer": set_in("normalizer", value={"type": "NFC"}),
    "another model": set_in("model", "type", value="Unigram"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_refused_in_one_line(damage, saved):
    damage(saved)
    with pytest.raises(TokenizerError) as error:
        minbpe.load(saved)
    message = str(error.value)
    assert str(saved) in message
    assert "\n" not in message


def test_a_special_token_that_is_also_ordinary_is_not_saved(tmp_path):
    tokenizer = RegexTokenizer.train("the the the", 1000, special=["the"])
    with pytest.raises(TokenizerError, match="'the'"):
        minbpe.save(tokenizer, tmp_path / "t.json")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tokenizer, saved, monkeypatch):
    before = saved.read_bytes()

    def full(_):
        raise OSError("no space left")

    monkeypatch.setattr("minbpe.io.text_file.os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        minbpe.save(RegexTokenizer(), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_the_vocabulary_is_readable(tmp_path):
    merges = [
        *((104, 101), (32, 256)),  # "he", " he"
        *((0xD0, 0xB4), (0xF0, 0x9F)),  # a whole character and half of one
        *((0xC2, 0x85), (10, 34)),  # a control character; a newline and a quote
    ]
    tokenizer = RegexTokenizer(merges, special=["<|end|>"])
    minbpe.save_vocab(tokenizer, tmp_path / "vocab.txt")
    lines = (tmp_path / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 263
    assert [lines[i] for i in (0, 9, 32, 92, 133)] == [
        '0\t"\\u0000"\tbyte',
        '9\t"\\t"\tbyte',
        '32\t" "\tbyte',
        '92\t"\\\\"\tbyte',
        '133\t"\\x85"\tbyte',
    ]
    assert lines[256:] == [
        '256\t"he"\t104 "h" + 101 "e"',
        '257\t" he"\t32 " " + 256 "he"',
        '258\t"д"\t208 "\\xd0" + 180 "\\xb4"',
        '259\t"\\xf0\\x9f"\t240 "\\xf0" + 159 "\\x9f"',
        '260\t"\\u0085"\t194 "\\xc2" + 133 "\\x85"',
        '261\t"\\n\\""\t10 "\\n" + 34 "\\""',
        '262\t"<|end|>"\tspecial',
    ]
