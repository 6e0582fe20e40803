"""A model saved for others: transformers gives the same ids and logits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from likeness import babbler
from tokenizer_files import gpt2_like, llama_like

import minbpe
from minbpe.base import Tokenizer
from pipeline.__main__ import main
from pipeline.cli.save_hf import write_folder
from pipeline.dialogue.template import SPECIAL
from pipeline.training.base_model import gguf_tokenizer
from transformer import pretrained
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import WeightsError, load, save

pytestmark = pytest.mark.parity
TEXTS = (
    "good morning ben",
    "  Was  geht?\n\nمرحبا 🙂🙂 1234567",
    "hello world, don't\r\n",
    "<|im_end|",
)


def opened(folder: Path):
    transformers = pytest.importorskip("transformers", reason="parity needs transformers")
    transformers.utils.logging.disable_progress_bar()
    return (
        transformers.AutoModelForCausalLM.from_pretrained(folder).eval(),
        transformers.AutoTokenizer.from_pretrained(folder),
    )


def assert_same(decoder: Decoder, tokenizer: Tokenizer, folder: Path) -> None:
    model, theirs = opened(folder)
    decoder.eval()
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert theirs(text).input_ids == ids
        assert theirs.decode(ids) == tokenizer.decode(ids)
        row = torch.tensor([ids])[:, : decoder.config.block]
        with torch.no_grad():
            torch.testing.assert_close(decoder(row), model(row).logits, atol=1e-5, rtol=1e-4)
    assert theirs.model_max_length == decoder.config.block


def test_a_small_model_of_our_own_from_the_command_line(tmp_path, capsys):
    model = babbler(tmp_path / "model")
    assert main(["save-hf", str(tmp_path / "hf"), str(model)]) == 0
    assert "transformers opens it" in capsys.readouterr().out
    tokenizer = minbpe.load(model)
    assert_same(load(model), tokenizer, tmp_path / "hf")
    _, theirs = opened(tmp_path / "hf")
    assert theirs.eos_token_id == tokenizer.special["<|endoftext|>"]
    assert theirs.pad_token_id == tokenizer.special["<|padding|>"]
    assert main(["save-hf", str(tmp_path / "hf"), str(tmp_path)]) == 0


@pytest.mark.parametrize("document", [gpt2_like(), llama_like()], ids=["gpt2", "llama"])
def test_a_model_on_a_published_tokenizer(document, tmp_path):
    """Llama's would put `<s>` before each text; its fine-tuned model has never seen one there."""
    (tmp_path / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    tokenizer = minbpe.load(tmp_path).with_special(SPECIAL)
    config = ModelConfig(vocab_size=tokenizer.size, block=64, width=32, layers=1, heads=2)
    decoder = Decoder(config)
    write_folder(decoder, tokenizer, tmp_path / "hf")
    assert_same(decoder, tokenizer, tmp_path / "hf")


@pytest.mark.slow
def test_smollm2(tmp_path):
    pytest.importorskip("gguf", reason="needs the optional package gguf")
    try:
        path = pretrained.smollm2_path()
    except WeightsError as error:
        pytest.skip(f"needs an optional package: {error}")
    decoder, tokenizer = pretrained.load(path), gguf_tokenizer(path)
    write_folder(decoder, tokenizer, tmp_path / "hf")
    model, theirs = opened(tmp_path / "hf")
    ids = torch.tensor([theirs(TEXTS[1]).input_ids])
    assert ids[0].tolist() == tokenizer.encode(TEXTS[1])
    with torch.no_grad():
        torch.testing.assert_close(decoder(ids), model(ids).logits, atol=1e-3, rtol=1e-3)


def test_other_files_are_not_written_over(tmp_path, capsys):
    model = babbler(tmp_path / "model")
    before = (model / "config.json").read_bytes()
    assert main(["save-hf", str(model), str(model)]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert (model / "config.json").read_bytes() == before
    assert main(["save-hf", str(tmp_path / "hf"), str(model), "--workspace", "x"]) == 2


@pytest.mark.parametrize(
    ("odd", "instead"),
    [
        ({"position": "sinusoidal"}, "position"),
        ({"conv_kernel": 4}, "conv_kernel 1 instead of 4"),
    ],
)
def test_a_decoder_that_no_family_has_is_one_line(odd, instead, tmp_path, capsys):
    config = ModelConfig(vocab_size=295, block=64, width=32, layers=1, heads=2, **odd)
    model = babbler(tmp_path / "model")
    save(Decoder(config), model)
    assert main(["save-hf", str(tmp_path / "hf"), str(model)]) == 2
    error = capsys.readouterr().err
    assert "no published family" in error
    assert instead in error
    assert error.count("\n") == 1
