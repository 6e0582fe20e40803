"""`config.json` ⇄ `ModelConfig`: a table for each family of published models, used both ways.

What an option asks for that our decoder does not have is refused, never silently different. Options
that change neither what a model computes nor its shapes are not read.
Dropout is only for training: ours is GPT-2's `resid_pdrop`, the other families have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from transformer.config import ConfigError, ModelConfig
from transformer.io import CONFIG, WeightsError
from transformer.pretrained.llama_like import (
    Settings,
    Sizes,
    biases,
    read_llama,
    read_mistral,
    read_qwen2,
    read_qwen3,
    write_llama,
    write_mistral,
    write_qwen,
)
from transformer.pretrained.mixed_layers import (
    read_gemma3,
    read_lfm2,
    read_smollm3,
    write_gemma3,
    write_lfm2,
    write_smollm3,
)
from transformer.pretrained.options import Options, shown

MAX_ANGLES = 1 << 29  # of positions × head size; more is not a model but a mistake
MAX_LAYERS = 10_000  # as well


class Family(NamedTuple):
    """Models that share a `model_type`, and how their options are read and written."""

    architecture: str  # the class in transformers
    sizes: Mapping[str, str]  # options that are settings of ours under another name
    read: Callable[[Options, Sizes], Settings]
    write: Callable[[ModelConfig], Settings]
    defaults: Mapping[str, object] | None = (
        None  # of absent options, where null means something else
    )
    even: bool = False  # transformers opens it only if the heads share the width evenly


def config_of(options: Options) -> tuple[str, ModelConfig]:
    """The `model_type` and the config that the options of a `config.json` describe."""
    kind = options.get("model_type", str)
    if kind not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise options.error(f"architecture {shown(kind)} is not supported, only {known}")
    family = FAMILIES[kind]
    options = options.with_defaults(family.defaults)
    for name in _NEVER:
        options.only(name)
    sizes = {ours: options.size(theirs) for theirs, ours in family.sizes.items()}
    if sizes["layers"] > MAX_LAYERS:
        raise options.error(f"{sizes['layers']} layers: it asks for more weights than there are")
    settings: Settings = {**sizes, **_ALWAYS, **family.read(options, sizes)}
    head_size = settings["head_size"]
    if isinstance(head_size, int) and sizes["block"] * head_size > MAX_ANGLES:
        raise options.error(f"a context of {sizes['block']} tokens is too long to be meant")
    try:
        return kind, ModelConfig.from_dict(settings)
    except ConfigError as error:
        raise options.error(str(error)) from error


def family_of(config: ModelConfig) -> tuple[str, Settings]:
    """The `model_type` and the options that describe `config` to others.

    It is the family through which the config comes back as it was. Raises `WeightsError` when
    there is none, with what stands in the way of the nearest.
    """
    tried = {}
    for kind, family in FAMILIES.items():
        sizes = {ours: int(getattr(config, ours)) for ours in family.sizes.values()}
        options: Settings = {theirs: sizes[ours] for theirs, ours in family.sizes.items()}
        options |= {"model_type": kind, "architectures": [family.architecture]}
        options |= family.write(config)
        missed = _missed(config, family, options, sizes)
        if not missed:
            return kind, options
        tried[kind] = missed
    nearest = min(tried, key=lambda kind: len(tried[kind]))
    raise WeightsError(
        f"no published family has such a decoder: the nearest, {nearest}, would need "
        f"{', '.join(tried[nearest])}; transformer.save writes any decoder, in a format of our own"
    )


def _missed(config: ModelConfig, family: Family, options: Settings, sizes: Sizes) -> list[str]:
    """The settings that would not come back, as `name value instead of value`."""
    read = Options(options, Path(CONFIG)).with_defaults(family.defaults)
    missed = [
        f"{name} {shown(value)} instead of {shown(getattr(config, name))}"
        for name, value in (_ALWAYS | family.read(read, sizes)).items()
        if name != "dropout" and getattr(config, name) != value
    ]
    if family.even and config.width % config.heads:
        missed.append(f"heads that share width {config.width} evenly instead of {config.heads}")
    return missed


def _read_gpt2(options: Options, sizes: Sizes) -> Settings:
    options.only("scale_attn_weights", True)
    options.only("scale_attn_by_inverse_layer_idx", False)
    options.only("add_cross_attention", False)
    options.only("activation_function", *_ACTIVATIONS)
    return {
        "kv_heads": sizes["heads"],
        "head_size": sizes["width"] // sizes["heads"],
        "hidden": options.size("n_inner", 4 * sizes["width"]),
        "norm_eps": options.get("layer_norm_epsilon", float, 1e-5),
        "tied": options.get("tie_word_embeddings", bool, True),
        "position": "learned",
        "pattern": "full",
        "norm": "layer",
        "feedforward": _ACTIVATIONS[options.get("activation_function", str, "gelu_new")],
        "dropout": options.get("resid_pdrop", float, 0.1),
    } | biases(True, True)


def _write_gpt2(config: ModelConfig) -> Settings:
    theirs = {ours: name for name, ours in reversed(_ACTIVATIONS.items())}
    return {
        "activation_function": theirs.get(config.feedforward, "gelu_new"),
        "n_inner": config.hidden,
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": 0.0,
    }


_ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "leaky_relu": "leaky_relu",
    "silu": "silu",
    "swish": "silu",
}
_ALWAYS: Settings = {  # where a family does not say otherwise
    "attention": "grouped",
    "placement": "pre",
    "conv_kernel": 1,
    "embedding_scale": 1.0,
    "attention_scale": 0.0,
    "layer_types": (),
}
_NEVER = ("quantization_config", "num_local_experts", "num_experts", "n_routed_experts")

_SIZES = {
    "vocab_size": "vocab_size",
    "max_position_embeddings": "block",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "hidden",
}
_GPT2_SIZES = {
    "vocab_size": "vocab_size",
    "n_positions": "block",
    "n_embd": "width",
    "n_layer": "layers",
    "n_head": "heads",
}
_LFM2_SIZES = {theirs: ours for theirs, ours in _SIZES.items() if ours != "hidden"}
_MISTRAL = {"num_key_value_heads": 8, "sliding_window": 4096}
_QWEN2 = {"num_key_value_heads": 32, "sliding_window": 4096, "max_window_layers": 28}
_QWEN3 = {**_QWEN2, "head_dim": 128}
_SMOLLM3 = {"num_key_value_heads": 4, "tie_word_embeddings": True, "rope_theta": 2_000_000.0}
_GEMMA3 = {
    "vocab_size": 262_208,
    "max_position_embeddings": 131_072,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "sliding_window": 4096,
    "query_pre_attn_scalar": 256,
    "tie_word_embeddings": True,
    "rope_theta": 1_000_000.0,
}
_LFM2 = {"num_key_value_heads": 8, "norm_eps": 1e-5, "rope_theta": 1_000_000.0}

FAMILIES: Mapping[str, Family] = {
    "llama": Family("LlamaForCausalLM", _SIZES, read_llama, write_llama, even=True),
    "mistral": Family("MistralForCausalLM", _SIZES, read_mistral, write_mistral, _MISTRAL),
    "qwen2": Family("Qwen2ForCausalLM", _SIZES, read_qwen2, write_qwen, _QWEN2),
    "qwen3": Family("Qwen3ForCausalLM", _SIZES, read_qwen3, write_qwen, _QWEN3),
    "gpt2": Family("GPT2LMHeadModel", _GPT2_SIZES, _read_gpt2, _write_gpt2),
    "smollm3": Family("SmolLM3ForCausalLM", _SIZES, read_smollm3, write_smollm3, _SMOLLM3),
    "gemma3_text": Family(
        "Gemma3ForCausalLM", _SIZES, read_gemma3, write_gemma3, _GEMMA3, even=True
    ),
    "lfm2": Family("Lfm2ForCausalLM", _LFM2_SIZES, read_lfm2, write_lfm2, _LFM2),
}
