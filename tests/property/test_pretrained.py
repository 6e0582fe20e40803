"""Whatever happens to a model's files: it opens, or one line says that it does not."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transformer import pretrained
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import WeightsError

KINDS = {
    "llama": {},
    "qwen3": {"qk_norm": True, "tied": False},
    "gpt2": {
        "position": "learned",
        "norm": "layer",
        "feedforward": "gelu",
        "bias": True,
        "kv_heads": 2,
    },
    "smollm3": {"layer_types": ({}, {"position": "none"})},
    "gemma3": {
        "layer_types": ({"pattern": "local", "window": 4, "rope_base": 10.0}, {}),
        "norm": "rms_centered",
        "placement": "sandwich",
        "feedforward": "geglu_tanh",
        "qk_norm": True,
        "embedding_scale": 8**0.5,
    },
    "lfm2": {"layer_types": ({"attention": "short_conv"}, {}), "qk_norm": True},
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "llama", "mistral", "qwen2", "qwen3", "gpt2", "silu", "gelu"]),
    st.sampled_from(["smollm3", "gemma3_text", "lfm2", "gelu_pytorch_tanh"]),
    st.lists(st.integers(-1, 2), max_size=3),
    st.lists(st.sampled_from(["full_attention", "sliding_attention", "conv"]), max_size=3),
    st.dictionaries(
        st.sampled_from(["rope_type", "type", "factor", "rope_theta", "low_freq_factor"]),
        st.one_of(st.floats(), st.sampled_from(["llama3", "default"]), st.none()),
    ),
)


@cache
def files(kind: str, shard: int = 1 << 30) -> dict[str, bytes]:
    """What a folder of a tiny model holds."""
    sizes = {"vocab_size": 9, "block": 8, "width": 8, "layers": 2, "heads": 2, "hidden": 8}
    decoder = Decoder(ModelConfig(**sizes, **KINDS[kind]), torch.Generator().manual_seed(0))
    with TemporaryDirectory() as folder:
        pretrained.save(decoder, folder, shard)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def opens_or_says_why(contents: dict[str, bytes], name: str = "") -> None:
    with TemporaryDirectory() as folder:
        for file, data in contents.items():
            (Path(folder) / file).write_bytes(data)
        try:
            pretrained.load(Path(folder) / name)
            said = "it opens"
        except WeightsError as error:
            said = str(error)
    assert said.isprintable()
    assert len(said) < 1500


@st.composite
def damage(draw: st.DrawFn, data: bytes, most: int = 4) -> bytes:
    """Some bytes replaced, and perhaps cut, or grown, mostly near the beginning."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, most))):
        limit = draw(st.sampled_from([16, 64, 256, len(data)]))
        at = draw(st.integers(0, min(limit, len(data)) - 1))
        changed[at] = draw(st.integers(0, 255))
    end = draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))
    return bytes(changed[:end]) + draw(st.binary(max_size=3))


@given(kind=st.sampled_from(list(KINDS)), data=st.data())
@settings(deadline=None, max_examples=60)
def test_options_of_any_value(kind, data):
    contents = files(kind)
    options = json.loads(contents["config.json"])
    others = ["sliding_window", "layer_types", "rope_parameters", "rope_local_base_freq"]
    others += ["no_rope_layers", "no_rope_layer_interval", "full_attn_idxs", "block_ff_dim"]
    others += ["block_auto_adjust_ff_dim", "block_ffn_dim_multiplier", "sliding_window_pattern"]
    names = st.sampled_from([*options, *others])
    changes = data.draw(st.dictionaries(names, VALUES, min_size=1, max_size=3))
    changed = json.dumps(options | changes).encode("utf-8")
    opens_or_says_why({**contents, "config.json": changed})


@given(kind=st.sampled_from(list(KINDS)), shard=st.sampled_from([900, 1 << 30]), data=st.data())
@settings(deadline=None, max_examples=60)
def test_damaged_folders(kind, shard, data):
    contents = files(kind, shard)
    name = data.draw(st.sampled_from(sorted(contents)))
    opens_or_says_why({**contents, name: data.draw(damage(contents[name]))})


@cache
def gguf_file() -> bytes:
    gguf = pytest.importorskip("gguf", reason="needs the optional package gguf")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_context_length(8)
        writer.add_embedding_length(32)
        writer.add_block_count(1)
        writer.add_feed_forward_length(32)
        writer.add_head_count(2)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_array("tokenizer.ggml.tokens", ["a", "bc"])
        shapes = {"token_embd": (9, 32), "output_norm": (32,), "blk.0.attn_norm": (32,)}
        shapes |= {"blk.0.ffn_norm": (32,)}
        for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            shapes[f"blk.0.{part}"] = (32, 32)
        for name, shape in shapes.items():
            many = gguf.GGMLQuantizationType.Q4_1 if len(shape) > 1 else None
            numbers = torch.ones(shape).numpy()
            data = numbers if many is None else gguf.quantize(numbers, many)
            writer.add_tensor(f"{name}.weight", data, raw_dtype=many)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        pretrained.load(path)
        return path.read_bytes()


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_damaged_gguf_files(data):
    opens_or_says_why({"model.gguf": data.draw(damage(gguf_file()))}, "model.gguf")
