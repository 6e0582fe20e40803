"""The same weights in transformers' models and in ours give the same logits, plain and cached.

Theirs are written by themselves and opened by us, ours the other way about; GGUF files are written
with the package of llama.cpp's own makers.
"""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from peers import agree, spread

from transformer import pretrained
from transformer.config import ModelConfig
from transformer.decoder import Decoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    transformers = pytest.importorskip("transformers", reason="parity needs transformers")
    transformers.utils.logging.disable_progress_bar()

pytestmark = pytest.mark.parity
V, C, L, H, BLOCK = 60, 32, 3, 4, 24


def llama_like(kind, **options):
    """A model of one of the families that share Llama's options."""
    sizes = {
        "vocab_size": V,
        "hidden_size": C,
        "intermediate_size": 48,
        "num_hidden_layers": L,
        "num_attention_heads": H,
        "num_key_value_heads": 2,
        "max_position_embeddings": BLOCK,
        "rms_norm_eps": 1e-6,
    }
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{**sizes, **options})
    return getattr(transformers, f"{kind.removesuffix('Text')}ForCausalLM")(config)


def gpt2(**options):
    sizes = {"n_positions": BLOCK, "n_embd": C, "n_layer": L, "n_head": H}
    ids = {"bos_token_id": 0, "eos_token_id": 0}
    config = transformers.GPT2Config(vocab_size=V, **sizes, **ids, **options)
    return transformers.GPT2LMHeadModel(config)


SCALED = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
SLIDES = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 0}

NO_IDS = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
GEMMA3 = {
    "head_dim": 12,
    "query_pre_attn_scalar": 20,
    "sliding_window": 5,
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    },
    **NO_IDS,
}

PEERS = {
    "gpt2": lambda: gpt2(),
    "gpt2-relu-untied": lambda: gpt2(
        activation_function="relu", tie_word_embeddings=False, n_inner=40
    ),
    "llama": lambda: llama_like("Llama"),
    "llama-mqa-tied": lambda: llama_like("Llama", num_key_value_heads=1, tie_word_embeddings=True),
    "llama-mha-tied": lambda: llama_like("Llama", num_key_value_heads=H, tie_word_embeddings=True),
    "llama-3.1": lambda: llama_like("Llama", rope_parameters=dict(SCALED)),
    "llama-biased": lambda: llama_like("Llama", attention_bias=True, mlp_bias=True),
    "llama-head-size": lambda: llama_like("Llama", head_dim=12),
    "mistral": lambda: llama_like("Mistral", sliding_window=None, head_dim=8),
    "mistral-odd": lambda: llama_like("Mistral", sliding_window=None, hidden_size=30, head_dim=8),
    "qwen2": lambda: llama_like("Qwen2"),
    "qwen2-tied": lambda: llama_like("Qwen2", tie_word_embeddings=True, rope_theta=1e6),
    "qwen3": lambda: llama_like("Qwen3", head_dim=16),
    "mistral-sliding": lambda: llama_like("Mistral", sliding_window=5),
    "qwen2-sliding": lambda: llama_like("Qwen2", **SLIDES),
    "qwen3-sliding": lambda: llama_like("Qwen3", head_dim=16, **SLIDES),
    "qwen3-half-sliding": lambda: llama_like(
        "Qwen3", head_dim=16, **{**SLIDES, "max_window_layers": 2}
    ),
    "smollm3": lambda: llama_like("SmolLM3", num_hidden_layers=5, **NO_IDS),
    "smollm3-sliding": lambda: llama_like(
        "SmolLM3",
        no_rope_layers=[1, 0, 0],
        use_sliding_window=True,
        sliding_window=5,
        layer_types=["full_attention", "sliding_attention", "full_attention"],
        **NO_IDS,
    ),
    "gemma3": lambda: llama_like("Gemma3Text", num_hidden_layers=7, **GEMMA3),
    "gemma3-wide-window": lambda: llama_like("Gemma3Text", **{**GEMMA3, "sliding_window": BLOCK}),
    "lfm2": lambda: llama_like(
        "Lfm2",
        num_hidden_layers=4,
        layer_types=["conv", "conv", "full_attention", "conv"],
        block_multiple_of=8,
        **NO_IDS,
    ),
    "lfm2-wide-kernel": lambda: llama_like(
        "Lfm2", full_attn_idxs=[1], conv_L_cache=5, block_auto_adjust_ff_dim=False, **NO_IDS
    ),
}
ALL = [pytest.param(make, id=name) for name, make in PEERS.items()]


@pytest.mark.parametrize("make", ALL)
def test_their_folder_in_our_class_and_back(make, tmp_path):
    peer = spread(make())
    peer.save_pretrained(tmp_path / "theirs")
    decoder = pretrained.load(tmp_path / "theirs")
    agree(peer, decoder)

    pretrained.save(decoder, tmp_path / "ours")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert again.config.model_type in (peer.config.model_type, "llama")
    agree(again.eval(), decoder)
    assert pretrained.load(tmp_path / "ours").config == decoder.config


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [PEERS["gpt2"], PEERS["qwen2"]], ids=["gpt2", "qwen2"])
def test_shards(make, dtype, tmp_path):
    peer = spread(make()).to(dtype)
    peer.save_pretrained(tmp_path / "theirs", max_shard_size="10KB")
    assert len(list((tmp_path / "theirs").glob("*.safetensors"))) > 2
    decoder = pretrained.load(tmp_path / "theirs")
    assert {weight.dtype for weight in decoder.parameters()} == {dtype}
    opened = transformers.AutoModelForCausalLM.from_pretrained
    peer = opened(tmp_path / "theirs", dtype=torch.float32).eval()
    agree(peer, pretrained.load(tmp_path / "theirs", torch.float32))

    pretrained.save(decoder, tmp_path / "ours", shard=10_000)
    assert len(list((tmp_path / "ours").glob("*.safetensors"))) > 2
    assert opened(tmp_path / "ours").dtype == dtype
    again = opened(tmp_path / "ours", dtype=torch.float32).eval()
    agree(again, pretrained.load(tmp_path / "ours", torch.float32))


OURS = {
    "default": {"dropout": 0.1},
    "untied, many heads": {"tied": False, "heads": 8, "kv_heads": 8},
    "wide heads": {"head_size": 24, "qkv_bias": True},
    "normed heads": {"qk_norm": True, "rope_base": 500.0},
    "as the course": {
        "position": "learned",
        "kv_heads": 4,
        "feedforward": "relu",
        "norm": "layer",
        "bias": True,
        "tied": False,
    },
}


@pytest.mark.parametrize("changes", OURS.values(), ids=OURS)
def test_a_decoder_of_our_own_opens_in_transformers(changes, tmp_path):
    config = ModelConfig(**{"vocab_size": V, "block": BLOCK, "width": C, "layers": L, **changes})
    decoder = spread(Decoder(config))
    pretrained.save(decoder, tmp_path)
    agree(transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval(), decoder)
    for name, weight in pretrained.load(tmp_path).state_dict().items():
        assert torch.equal(weight, decoder.state_dict()[name]), name


def write_gguf(path, peer, arch, kind="F32", slowed=None):
    """A GGUF file of `peer` as llama.cpp's converter makes it."""
    gguf = pytest.importorskip("gguf", reason="needs the optional package gguf")
    kind = gguf.GGMLQuantizationType[kind]
    config = peer.config
    writer = gguf.GGUFWriter(path, arch)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_key_length(peer.model.layers[0].self_attn.head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc", "def"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    weights = peer.state_dict()
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    for name, weight in weights.items():
        module, _, suffix = name.rpartition(".")
        part = module.rpartition(".")[2]
        if arch == "llama" and part in heads:
            halves = weight.reshape(heads[part], 2, -1, *weight.shape[1:])
            weight = halves.swapaxes(1, 2).reshape(weight.shape)
        many = kind if weight.dim() == 2 else gguf.GGMLQuantizationType.F32
        theirs = names.get_name(module) or module.replace("model.layers", "blk").replace(
            "self_attn.", "attn_"
        )
        data = gguf.quantize(weight.numpy(), many)
        writer.add_tensor(f"{theirs}.{suffix}", data, raw_dtype=many)
    if slowed is not None:
        writer.add_tensor("rope_freqs.weight", slowed.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


GGUFS = {
    "llama": ("Llama", {}),
    "llama-biased": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama-head-size": ("Llama", {"head_dim": 12, "tie_word_embeddings": True}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
}


@pytest.mark.parametrize(("kind", "options"), GGUFS.values(), ids=GGUFS)
def test_gguf_of_full_numbers(kind, options, tmp_path):
    peer = spread(llama_like(kind, **options))
    write_gguf(tmp_path / "model.gguf", peer, kind.lower())
    agree(peer, pretrained.load(tmp_path / "model.gguf"))


@pytest.mark.parametrize(("kind", "dtype"), [("BF16", torch.bfloat16), ("F16", torch.float16)])
def test_gguf_of_half_numbers_keeps_them(kind, dtype, tmp_path):
    peer = spread(llama_like("Llama"))
    with torch.no_grad():
        for weight in peer.parameters():
            weight.copy_(weight.to(dtype))
    write_gguf(tmp_path / "model.gguf", peer, "llama", kind)
    assert pretrained.load(tmp_path / "model.gguf").tokens.weight.dtype == dtype
    agree(peer, pretrained.load(tmp_path / "model.gguf", torch.float32))


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q4_1", "Q5_1"])
def test_gguf_of_blocks_as_transformers_reads_it(kind, tmp_path, monkeypatch):
    """In chunks of a few rows, too: the borders must not show."""
    peer = spread(llama_like("Llama", intermediate_size=64))
    write_gguf(tmp_path / "model.gguf", peer, "llama", kind)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf")
    monkeypatch.setattr("transformer.pretrained.gguf_file.CHUNK", 400)
    decoder = pretrained.load(tmp_path / "model.gguf")
    assert decoder.tokens.weight.dtype == torch.float32
    agree(theirs.eval(), decoder)
    assert not torch.equal(decoder.tokens.weight, peer.model.embed_tokens.weight)


def test_gguf_of_llama_3(tmp_path):
    """The file has factors and not the rule that they come from."""
    scaled = {**SCALED, "original_max_position_embeddings": 8192, "rope_theta": 500_000.0}
    options = {"rope_parameters": scaled, "max_position_embeddings": 16384, "head_dim": 32}
    peer = spread(llama_like("Llama", **options))
    plain = llama_like("Llama", **{**options, "rope_parameters": {"rope_theta": 500_000.0}})
    slowed = plain.model.rotary_emb.inv_freq / peer.model.rotary_emb.inv_freq
    assert slowed.max() == 8
    write_gguf(tmp_path / "model.gguf", peer, "llama", slowed=slowed)
    decoder = pretrained.load(tmp_path / "model.gguf")
    assert (decoder.config.rope_factor, decoder.config.rope_original) == (8, 8192)
    agree(peer, decoder)
    write_gguf(tmp_path / "other.gguf", peer, "llama", slowed=slowed.sqrt())
    with pytest.raises(ValueError, match=r"rope_freqs.* is not Llama 3's"):
        pretrained.load(tmp_path / "other.gguf")
