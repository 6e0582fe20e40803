"""A model as a folder: whole or not at all, and one line when something is wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import CONFIG, WEIGHTS, WeightsError, load, save

IDS = torch.tensor([[1, 2, 3]])


def tiny(**changes):
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "block": 16, "width": 16, "layers": 2, "heads": 4}
    return Decoder(ModelConfig(**{**sizes, **changes})).eval()


@pytest.fixture
def folder(tmp_path):
    save(tiny(), tmp_path / "model")
    return tmp_path / "model"


def test_the_folder_holds_two_files_and_the_tied_matrix_once(folder):
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]
    names = set(load_file(folder / WEIGHTS))
    assert "tokens.weight" in names
    assert "unembed.weight" not in names
    save(tiny(tied=False), folder)
    assert "unembed.weight" in load_file(folder / WEIGHTS)


def test_names_are_stable(folder):
    """A change here makes every saved model unreadable."""
    assert [name for name in load_file(folder / WEIGHTS) if "blocks.1" not in name] == [
        "blocks.0.attention.out.weight",
        "blocks.0.attention.qkv.weight",
        "blocks.0.attention_norm.weight",
        "blocks.0.feedforward.down.weight",
        "blocks.0.feedforward.gate.weight",
        "blocks.0.feedforward.up.weight",
        "blocks.0.feedforward_norm.weight",
        "norm.weight",
        "tokens.weight",
    ]


def test_saving_over_a_loaded_model_works(folder):
    """Nothing of the old file is still in use, which Windows would not allow."""
    decoder = load(folder)
    size = (folder / WEIGHTS).stat().st_size
    with (folder / WEIGHTS).open("r+b") as file:
        file.write(b"\x00" * size)  # would show through a memory map
    assert torch.equal(decoder(IDS), tiny()(IDS))
    save(tiny(layers=1), folder)
    assert load(folder).config.layers == 1


def test_a_dtype_can_be_asked_for(folder):
    decoder = load(folder, torch.bfloat16)
    assert {weight.dtype for weight in decoder.parameters()} == {torch.bfloat16}
    assert decoder(IDS).dtype == torch.bfloat16
    torch.testing.assert_close(decoder(IDS).float(), tiny()(IDS), atol=0.01, rtol=0.05)
    save(decoder, folder)
    assert load(folder).tokens.weight.dtype == torch.bfloat16


def test_a_loaded_model_can_be_trained(folder):
    decoder = load(folder).train()
    decoder(IDS).square().mean().backward()
    assert all(weight.grad is not None for weight in decoder.parameters())


def test_a_write_that_fails_leaves_the_old_model(folder, monkeypatch):
    def full(_):
        raise OSError("no space left on device")

    before = load(folder)(IDS)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        save(tiny(layers=1), folder)
    assert torch.equal(load(folder)(IDS), before)


def cut_short(folder):
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-50])


def not_weights(folder):
    (folder / WEIGHTS).write_bytes(b"\x00" * 100)


def no_weights(folder):
    (folder / WEIGHTS).unlink()


def no_config(folder):
    (folder / CONFIG).unlink()


def cut_config(folder):
    (folder / CONFIG).write_text('{"vocab_size": 30,', encoding="utf-8")


def list_config(folder):
    (folder / CONFIG).write_text("[1, 2]", encoding="utf-8")


def bytes_config(folder):
    (folder / CONFIG).write_bytes(b"\xff\xfe\xfa")


def change(folder, **settings):
    path = folder / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **settings}), encoding="utf-8")


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (cut_short, f"{WEIGHTS} is damaged"),
        (not_weights, f"{WEIGHTS} is damaged"),
        (no_weights, f"{WEIGHTS} is missing"),
        (no_config, f"{CONFIG} is missing"),
        (cut_config, f"{CONFIG} is damaged"),
        (list_config, f"{CONFIG} is damaged"),
        (bytes_config, f"{CONFIG} is damaged"),
        (lambda f: change(f, layers=3), "blocks.2.attention.out.weight is none, expected"),
        (lambda f: change(f, layers=1), "blocks.1.attention.out.weight is .*, expected none"),
        (lambda f: change(f, vocab_size=31), r"tokens.weight is \(30, 16\), expected \(31, 16\)"),
        (lambda f: change(f, novelty=1), "unknown model setting 'novelty'"),
    ],
)
def test_a_broken_folder_is_one_line(folder, break_it, words):
    break_it(folder)
    with pytest.raises(WeightsError, match=words) as error:
        load(folder)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)


def test_loading_draws_nothing_and_leaves_the_compiler_alone(folder):
    """Its import takes seconds and 70 MiB, which is most of what opening a chat takes."""
    code = (
        "import sys; from pathlib import Path; from transformer.io import load; "
        f"load(Path({str(folder)!r})); assert 'torch._dynamo' not in sys.modules"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=120)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    load(folder)
    assert torch.equal(torch.get_rng_state(), before)
