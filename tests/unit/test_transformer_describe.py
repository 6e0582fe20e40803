"""What `describe` says of a decoder is what the decoder is."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from tests_support import SIZES

from pipeline.training.optimizer import optimizers, set_rate, state_tensors
from transformer.__main__ import cli
from transformer.block import MIXERS
from transformer.config import ModelConfig
from transformer.decoder import Decoder, meta_decoder
from transformer.describe import PARTS, find_config, memory, parameters, weights
from transformer.io import save
from transformer.layers import NORMS
from transformer.positions import POSITIONS
from transformer.presets import PRESETS, preset

ROOT = Path(__file__).resolve().parents[2]
TINY = {"vocab_size": 50, "block": 64, "width": 16, "layers": 3, "heads": 4, "laboratory": True}


def said(*args: str) -> str:
    result = CliRunner().invoke(cli, ["describe", *args], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return result.output


def refused(*args: str) -> str:
    result = CliRunner().invoke(cli, ["describe", *args])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    return result.output


@pytest.mark.parametrize(
    ("attention", "position"),
    [
        (mixer, position)
        for mixer, position in product(sorted(MIXERS), sorted(POSITIONS))
        if (mixer, position) != ("linear", "relative")
        and not (mixer == "short_conv" and position in ("rope", "relative"))
    ],
)
@pytest.mark.parametrize("norm", sorted(NORMS))
@pytest.mark.parametrize("more", [{}, {"bias": True, "tied": False, "feedforward": "gelu"}])
def test_the_parts_are_all_there_is(position, norm, attention, more):
    config = ModelConfig(**TINY, position=position, norm=norm, attention=attention, **more)
    decoder = Decoder(config)
    total = sum(weight.numel() for weight in decoder.parameters())
    found = weights(meta_decoder(config))
    parts = parameters(found)
    assert sum(parts.values()) == sum(w.size for w in found) == total
    assert parts["embedding"] == 50 * 16
    assert parts["head"] == (0 if decoder.config.tied else 50 * 16)
    assert parts["positions"] == sum(w.numel() for w in decoder.position.parameters())
    for part, module in (("attention", "attention"), ("feed-forward", "feedforward")):
        one = sum(w.numel() for w in getattr(decoder.blocks[0], module).parameters())
        assert parts[part] == 3 * one


def test_layers_that_differ_are_counted_apart_and_named(tmp_path):
    types = [{"attention": "short_conv"}, {"pattern": "local", "window": 8}]
    config = ModelConfig(**TINY, layer_types=types)
    decoder = Decoder(config)
    found = weights(meta_decoder(config))
    assert sum(w.size for w in found) == sum(w.numel() for w in decoder.parameters())
    assert {w.label for w in found} >= {
        "2 × blocks.attention.conv_in.weight",
        "blocks.attention.qkv.weight",
    }
    one = decoder.blocks[1].attention
    sizes = memory(decoder, 12)
    assert sizes["cache of 12 tokens, one row"] == 2 * 2 * 16 + 2 * one.kv_heads * 8 * one.head_size
    save(decoder, tmp_path)
    shown = " ".join(said(str(tmp_path)).split())
    assert "layers 1, 3: attention short_conv, position none" in shown
    assert "layers 2: pattern local, window 8" in shown


def test_weights_of_layers_are_shown_once():
    found = {w.label: w for w in weights(meta_decoder(ModelConfig(**TINY)))}
    assert found["3 × blocks.attention.out.weight"].shape == (16, 16)
    assert found["3 × blocks.attention.out.weight"].size == 3 * 16 * 16
    assert found["tokens.weight"].copies == 1
    assert {w.part for w in found.values()} == PARTS.keys() - {"positions", "convolution", "head"}


@pytest.mark.parametrize(
    "kind",
    [
        *({"kv_heads": n} for n in (1, 2, 4)),
        {"attention": "linear"},
        {"attention": "latent"},
        *({"pattern": name, **SIZES[name]} for name in SIZES),
    ],
)
@torch.no_grad()
def test_the_cache_takes_what_is_said(kind):
    """A block of 64 fills the room that a cache makes at first, so nothing in it is spare."""
    decoder = Decoder(ModelConfig(**TINY, **kind))
    cache = decoder.new_cache()
    decoder(torch.randint(50, (1, 64)), cache)
    held = sum(kept.numel() for layer in cache.layers for kept in layer.tensors)
    assert memory(decoder, 64)["cache of 64 tokens, one row"] == held
    if not kind.keys() - {"kv_heads"}:
        assert memory(decoder, 16)["cache of 16 tokens, one row"] == held / 4


def test_the_optimizers_take_what_is_said():
    decoder = Decoder(ModelConfig(**TINY, bias=True))
    uses = memory(decoder, 1)
    decoder(torch.randint(50, (1, 8))).sum().backward()
    assert uses["gradients"] == sum(weight.grad.numel() for weight in decoder.parameters())
    both = optimizers(decoder, 0.1)
    alone = [torch.optim.AdamW(decoder.parameters(), lr=0.0)]
    for name, found in (("or Muon + AdamW", both), ("AdamW", alone)):
        set_rate(found, 1e-3)
        for optimizer in found:
            optimizer.step()
        state = state_tensors(found).items()
        assert uses[name] == sum(t.numel() for key, t in state if not key.endswith(".step"))


def test_the_screen_tells_the_published_sizes():
    screen = " ".join(said("gpt2-lecture", "--context", "256").split())
    for words in (
        "163,009,536 parameters",
        "12 × blocks.attention.qkv.weight 2,304 × 768 21,233,664",
        "weights 163,009,536 621.83",
        "AdamW 326,019,072 1,243.66",
        "cache of 256 tokens, one row 4,718,592 18.00",
        "separate head",
    ):
        assert words in screen
    assert "310.92" in said("gpt2-lecture", "--dtype", "bfloat16")


def test_a_saved_model_is_described_by_its_config_alone(tmp_path):
    decoder = Decoder(ModelConfig(**TINY))
    save(decoder, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    total = sum(weight.numel() for weight in decoder.parameters())
    assert f"{total:,} parameters" in said(str(tmp_path))
    assert f"{total + 50 * 16:,} parameters" in said(str(tmp_path), "--vocab", "100")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert "vocab_size is missing" in refused(str(tmp_path))


def test_without_a_name_all_presets_are_listed():
    screen = said()
    for name in PRESETS:
        assert f"\n{name} " in screen
    assert "1,557,611,200" in screen
    assert max(map(len, screen.splitlines())) <= 80


def test_mistakes_are_one_line():
    assert "did you mean gpt2-medium" in refused("gpt2-medum")
    assert "pick 1 to 1024" in refused("gpt2", "--context", "1025")
    assert "pick 1 to 1024" in refused("gpt2", "--context", "0")


def test_a_vocabulary_is_lent_where_there_is_none():
    assert find_config("tiny").vocab_size == 1024
    assert find_config("tiny", 300) == preset("tiny", vocab_size=300)
    assert find_config("gpt2", 300).vocab_size == 300
    assert find_config("gpt2") == preset("gpt2")


def test_help_does_not_wait_for_torch():
    code = (
        "import sys; from click.testing import CliRunner; from transformer.__main__ import cli; "
        "assert 'Without a name' in CliRunner().invoke(cli, ['describe', '--help']).output; "
        "assert 'torch' not in sys.modules and 'rich' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
