"""A config is a value; contradictions are refused with advice."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import get_args

import pytest

from transformer import hyperparameters as c
from transformer.config import ConfigError, ModelConfig

ROOT = Path(__file__).resolve().parents[2]


def test_json_both_ways():
    config = ModelConfig(vocab_size=300, feedforward="gelu", rope_base=5_000.0)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_was_left_open_is_saved_as_numbers():
    saved = ModelConfig(vocab_size=300, width=512, heads=8).to_dict()
    assert (saved["kv_heads"], saved["hidden"]) == (4, 1408)
    plain = ModelConfig(vocab_size=300, width=512, heads=1, feedforward="gelu")
    assert (plain.kv_heads, plain.hidden) == (1, 2048)
    assert (plain.head_size, plain.qkv_bias) == (512, False)
    assert ModelConfig(vocab_size=300, bias=True).qkv_bias is True
    assert (plain.window, plain.rope_head, plain.rotary) == (0, 0, 512)
    bird = ModelConfig(vocab_size=300, pattern="bigbird")
    assert (bird.window, bird.global_tokens, bird.random_blocks, bird.pattern_block) == (
        64,
        1,
        3,
        64,
    )
    low = ModelConfig(vocab_size=300, width=512, heads=8, attention="latent")
    assert (low.query_latent, low.kv_latent, low.rope_head, low.kv_heads) == (256, 256, 32, 8)
    assert ModelConfig(vocab_size=300, attention="latent", position="none").rope_head == 0
    assert ModelConfig(vocab_size=300, bias=True, qkv_bias=False).qkv_bias is False


def test_a_config_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        ModelConfig(vocab_size=300).width = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 100, "heads": 8}, ["width 100", "heads 8", "width 96, heads 10"]),
        ({"width": 12, "heads": 6, "kv_heads": 4}, ["heads 6", "kv_heads 4", "pick kv_heads 3"]),
        ({"width": 12, "heads": 4}, ["rope", "head_size 3", "pick head_size 4"]),
        ({"width": 15, "heads": 3, "position": "sinusoidal"}, ["sinusoidal", "width 16"]),
        (
            {"position": "rotary"},
            ["position 'rotary'", "none, learned, sinusoidal, relative or rope"],
        ),
        ({"attention": "magic"}, ["attention 'magic'", "grouped"]),
        ({"window": 8}, ["window 8", "pattern full", "pick window 0", "local, dilated"]),
        ({"pattern": "local", "dilation": 2}, ["dilation 2", "pattern local", "pattern dilated"]),
        ({"pattern": "local", "window": -1}, ["window -1", "pick 0 or more"]),
        ({"pattern": "local", "global_tokens": 1}, ["pattern global_local or bigbird"]),
        ({"random_blocks": 1}, ["random_blocks 1", "pick random_blocks 0, or pattern bigbird"]),
        ({"kv_latent": 8}, ["kv_latent 8", "attention grouped", "attention latent"]),
        ({"attention": "linear", "pattern": "local"}, ["linear", "local", "pick pattern full"]),
        ({"attention": "latent", "kv_heads": 2}, ["latent", "kv_heads 2", "pick kv_heads 4"]),
        ({"attention": "latent", "qk_norm": True}, ["latent", "pick qk_norm false"]),
        ({"attention": "latent", "rope_head": 3}, ["rope_head 3", "pick rope_head 4"]),
        (
            {"attention": "latent", "rope_head": 4, "position": "none"},
            ["rope_head 4", "not by none", "pick rope_head 0 or position rope"],
        ),
        ({"layers": 0}, ["layers 0", "pick 1 or more"]),
        ({"kv_heads": -1}, ["kv_heads -1", "pick 0 or more"]),
        ({"dropout": 1.0}, ["dropout 1.0", "less than 1"]),
        ({"dropout": float("nan")}, ["dropout nan"]),
        ({"rope_base": 0}, ["rope_base 0.0"]),
        ({"rope_factor": 0.5}, ["rope_factor 0.5", "1 or more"]),
        ({"rope_low": 8}, ["rope_low 8.0", "rope_high 4.0", "1 and 4"]),
        ({"relative_buckets": 1}, ["relative_buckets 1", "pick 2 or more"]),
        ({"max_relative_distance": 16}, ["16", "relative_buckets 32", "pick 17 or more"]),
        ({"norm": "batch"}, ["norm batch", "later ones", "padding", "layer or rms", "laboratory"]),
        ({"qkv_bias": 1}, ["qkv_bias must be true or false"]),
        ({"norm_eps": -1e-5}, ["norm_eps"]),
        ({"padding_id": 300}, ["padding_id 300", "vocab_size 300", "0 to 299"]),
        ({"width": 64.0}, ["width must be a whole number, not 64.0"]),
        ({"heads": True}, ["heads must be a whole number"]),
        ({"bias": 1}, ["bias must be true or false"]),
        ({"dropout": "0.1"}, ["dropout must be a number"]),
        ({"widht": 64}, ["'widht'", "did you mean width?"]),
        ({"zzz": 64}, ["'zzz'", "known are vocab_size, block"]),
    ],
)
def test_what_cannot_be_is_refused_with_advice(settings, words):
    with pytest.raises(ConfigError) as error:
        ModelConfig.from_dict({"vocab_size": 300, **settings})
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_the_advice_can_be_followed():
    for followed in ({"width": 96, "heads": 8}, {"width": 100, "heads": 10}):
        assert ModelConfig(vocab_size=300, **followed).head_size in (12, 10)


def test_layers_take_their_types_in_turn():
    types = [{"pattern": "local", "window": 8, "rope_base": 10_000.0}, {"window": 0}]
    config = ModelConfig(vocab_size=9, layers=5, layer_types=types)
    assert [config.layer(n).pattern for n in range(5)] == ["local", "full"] * 2 + ["local"]
    assert config.to_dict()["layer_types"] == [{"pattern": "local", "window": 8}, {}]
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert config.slice(1, 3).layer_types == config.layer_types[::-1]
    assert config.slice(1, 2) == ModelConfig(vocab_size=9, layers=1)


def test_a_config_whose_layers_are_alike_is_saved_as_ever():
    plain = ModelConfig(vocab_size=9)
    assert ModelConfig(vocab_size=9, layer_types=[{}, {"pattern": "full"}]) == plain
    assert not {"layer_types", "mixer_kernel", "embedding_scale"} & plain.to_dict().keys()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layer_types": [{}] * 5}, "layer_types has 5 entries for layers 4"),
        ({"layer_types": [{"position": "learned"}]}, "pick rope or none in layer_types"),
        ({"layer_types": [{}, {"window": 3}]}, "entry 1: window 3 means nothing with pattern full"),
        ({"layer_types": [{"windw": 3}]}, "unknown setting in layer_types 'windw': .* window?"),
        ({"layer_types": [{"position": "none", "rope_base": 3.0}]}, "entry 0: rope_base .* none"),
        ({"layer_types": [{"attention": "short_conv", "pattern": "local"}]}, "pick pattern full"),
        (
            {"position": "relative", "layer_types": [{"position": "none"}]},
            "no layer in layer_types",
        ),
        ({"layer_types": 3}, "layer_types must be a list of tables"),
        ({"layer_types": [{"window": True}]}, "window must be a whole number"),
        ({"attention": "short_conv"}, "position rope .* pick position none"),
        ({"attention": "linear", "attention_scale": 0.2}, "attention_scale 0.2 means nothing"),
        ({"mixer_kernel": 3}, "pick mixer_kernel 0, or attention short_conv"),
    ],
)
def test_layers_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        ModelConfig(vocab_size=9, **settings)


def test_a_vocabulary_is_asked_for():
    with pytest.raises(ConfigError, match="vocab_size is missing"):
        ModelConfig.from_dict({})


def test_every_name_has_code_and_all_code_a_name():
    from transformer import block, layers, patterns, positions

    for table, names in (
        (positions.POSITIONS, c.Position),
        (patterns.PATTERNS, c.Pattern),
        (block.MIXERS, c.Attention),
        (block.FEEDFORWARDS, c.FeedForward),
        (layers.NORMS, c.Norm),
        (block.PLACEMENTS, c.Placement),
    ):
        assert set(table) == set(get_args(names))


def test_configs_and_presets_do_not_wait_for_torch():
    code = (
        "import sys, transformer, transformer.config; transformer.preset('tiny', vocab_size=300); "
        "assert 'torch' not in sys.modules; transformer.Decoder; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_an_unknown_attribute_is_an_attribute_error():
    import transformer

    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = transformer.nothing_like_this
    for name in transformer.__all__:
        assert getattr(transformer, name)
