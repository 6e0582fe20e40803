"""From a file to a classifier and back to a file, as a user would."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

import minbpe
from minbpe import RegexTokenizer
from pipeline.__main__ import main
from pipeline.classify import backbone
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import save

SPAM = Path(__file__).resolve().parents[2] / "data" / "samples" / "spam.csv"

Rows = list[dict[str, str]]


def rows(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, found: Rows) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, found[0], delimiter=";")
        table.writeheader()
        table.writerows(found)
    return path


@pytest.fixture(autouse=True)
def one_thread():
    """Steps this small are slower on two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny(monkeypatch):
    """A decoder that learns in a second."""

    def config(model, tokens, vocabulary, padding_id):
        return ModelConfig(
            vocab_size=vocabulary, padding_id=padding_id, width=32, layers=1, heads=2, block=64
        )

    monkeypatch.setattr(backbone.auto, "model_config", config)


def test_the_sample_is_balanced_and_repeats_nothing():
    found = rows(SPAM)
    counts = [sum(row["label"] == label for row in found) for label in ("ham", "spam")]
    assert min(counts) >= 200
    assert len({" ".join(row["text"].casefold().split()) for row in found}) == sum(counts)


def test_what_is_learned_from_some_rows_holds_for_others(tmp_path, monkeypatch, capsys, tiny):
    monkeypatch.chdir(tmp_path)
    found = rows(SPAM)
    write(Path("some.csv"), found[:240])
    write(Path("others.csv"), found[240:])
    assert main(["classify", "train", "some.csv", "--seed", "1"]) == 0
    told = capsys.readouterr().out
    for expected in (
        "split with seed 1",
        "all blocks and the head are trained",
        "macro F1",
        "TF-IDF",
        "true \\ predicted",
    ):
        assert expected in told
    names = {path.name for path in Path("classifier").iterdir()}
    assert names == {
        *("config.json", "model.safetensors", "head.json", "head.safetensors"),
        *("labels.json", "tokenizer.json"),
    }
    assert main(["classify", "predict", "others.csv"]) == 0
    predicted = rows(Path("others.predicted.csv"))
    assert [row["text"] for row in predicted] == [row["text"] for row in found[240:]]
    right = sum(a["label"] == b["label"] for a, b in zip(predicted, found[240:], strict=True))
    assert right / len(predicted) > 0.62
    assert f"labelled rows: {right / len(predicted):.1%}." in capsys.readouterr().out
    assert all(0.5 <= float(row["probability"]) <= 1 for row in predicted)


def test_a_model_of_ours_is_begun_with_and_only_its_top_learns_where_it_is_large(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backbone, "SMALL_MODEL", 1)
    config = ModelConfig(vocab_size=256, width=16, layers=3, heads=2, block=32)
    save(Decoder(config), Path("space/5_pretrained/best"))
    minbpe.save(RegexTokenizer(), Path("space/tokenizer.json"))
    Path("space/3_tokenizer").mkdir()
    Path("space/tokenizer.json").rename("space/3_tokenizer/tokenizer.json")
    write(Path("some.csv"), rows(SPAM)[:60])
    start = ["classify", "train", "some.csv", "--from"]
    assert main([*start, "space/5_pretrained/best", "--out", "made"]) == 0
    told = capsys.readouterr().out
    assert "the last 2 blocks and the head are trained" in told
    assert told.count("truncated to 32 tokens") == 1
    assert main([*start, "nowhere"]) == 2
    assert "There is no nowhere" in capsys.readouterr().err


FAULTS = {
    "one class": "text,label\n" + "".join(f"text {n},ham\n" for n in range(30)),
    "too few": "text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(18)),
    "no column": "message,label\nx,ham\n",
    "empty": "",
}


@pytest.mark.parametrize("content", FAULTS.values(), ids=FAULTS)
def test_bad_input_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys, content):
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text(content, encoding="utf-8")
    assert main(["classify", "train", "bad.csv"]) == 2
    told = capsys.readouterr()
    assert told.err.strip().count("\n") == 0
    assert told.err.strip()
    assert main(["classify", "predict", "bad.csv"]) == 2
    assert capsys.readouterr().err.strip().count("\n") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_stopping_leaves_nothing_and_says_so(tmp_path, monkeypatch, capsys, tiny):
    monkeypatch.chdir(tmp_path)
    write(Path("some.csv"), rows(SPAM)[:60])

    def pressed(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.classify.train_classifier.fit_classifier", pressed)
    assert main(["classify", "train", "some.csv"]) == 130
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("Stopped; nothing")
    assert not Path("classifier").exists()
