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
from transformer.pretrained.options import Options, shown

Settings = dict[str, object]
Sizes = Mapping[str, int]
MAX_ANGLES = 1 << 29  # of positions × head size; more is not a model but a mistake


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


def _read_llama(options: Options, sizes: Sizes) -> Settings:
    bias = options.get("attention_bias", bool, False)
    if options.get("mlp_bias", bool, False) != bias:
        raise options.error("attention_bias without mlp_bias, or the reverse, is not supported")
    options.only("sliding_window")
    return _read_rotary(options, sizes) | _pattern(options, sizes) | _biases(bias, bias)


def _write_llama(config: ModelConfig) -> Settings:
    return _write_rotary(config) | {"attention_bias": config.bias, "mlp_bias": config.bias}


def _read_mistral(options: Options, sizes: Sizes) -> Settings:
    window = options.get("sliding_window", int, 0)
    pattern = _pattern(options, sizes, window, sizes["layers"])
    return _read_rotary(options, sizes) | pattern | _biases(False, False)


def _write_mistral(config: ModelConfig) -> Settings:
    return _write_rotary(config) | {"sliding_window": _window(config)}


def _read_qwen(options: Options, sizes: Sizes) -> Settings:
    options.only("attention_bias", False)
    slides = options.get("use_sliding_window", bool, False)
    window = options.get("sliding_window", int, 0) if slides else 0
    sliding = max(0, sizes["layers"] - options.get("max_window_layers", int, 0))
    return _read_rotary(options, sizes) | _pattern(options, sizes, window, sliding)


def _write_qwen(config: ModelConfig) -> Settings:
    window = _window(config)
    slides = {"use_sliding_window": window is not None, "sliding_window": window}
    return _write_rotary(config) | slides | {"max_window_layers": 0 if window else config.layers}


def _read_qwen2(options: Options, sizes: Sizes) -> Settings:
    return _read_qwen(options, sizes) | _biases(False, True)


def _read_qwen3(options: Options, sizes: Sizes) -> Settings:
    return _read_qwen(options, sizes) | _biases(False, False) | {"qk_norm": True}


def _biases(everywhere: bool, qkv: bool) -> Settings:
    return {"bias": everywhere, "qkv_bias": qkv, "qk_norm": False}


def _pattern(options: Options, sizes: Sizes, window: int = 0, sliding: int = 0) -> Settings:
    """The pattern of a `window` in so many layers, unless `layer_types` says in which."""
    kinds = options.get("layer_types", list, [])
    if kinds:
        sliding = kinds.count("sliding_attention")
        if sliding + kinds.count("full_attention") != sizes["layers"]:
            raise options.error(f"layer_types {shown(kinds)} is not supported")
    if not 0 < window < sizes["block"] or not sliding:
        return {"pattern": "full"}
    if sliding < sizes["layers"]:
        raise options.error("a sliding window in some layers only is not supported (layer_types)")
    return {"pattern": "local", "window": window}


def _window(config: ModelConfig) -> int | None:
    return config.window if config.pattern == "local" else None


def _read_rotary(options: Options, sizes: Sizes) -> Settings:
    options.only("hidden_act", "silu", "swish")
    options.only("partial_rotary_factor", 1)
    options.only("rope_interleaved", False)
    return {
        "kv_heads": options.size("num_key_value_heads", sizes["heads"]),
        "head_size": options.size("head_dim", sizes["width"] // sizes["heads"]),
        "norm_eps": options.get("rms_norm_eps", float, 1e-6),
        "tied": options.get("tie_word_embeddings", bool, False),
        "position": "rope",
        "norm": "rms",
        "feedforward": "swiglu",
        "dropout": 0.0,
    } | _read_rope(options, sizes)


def _write_rotary(config: ModelConfig) -> Settings:
    scaled = {
        "rope_type": "llama3",
        "factor": config.rope_factor,
        "low_freq_factor": config.rope_low,
        "high_freq_factor": config.rope_high,
        "original_max_position_embeddings": config.rope_original,
    }
    return {
        "hidden_act": "silu",
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_size,
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied,
        "rope_theta": config.rope_base,
        "rope_scaling": None if config.rope_factor == 1 else scaled,
    }


def _read_rope(options: Options, sizes: Sizes) -> Settings:
    """From `rope_theta` and `rope_scaling`, or from `rope_parameters`, which is both in one."""
    given = options.get("rope_scaling", dict, {}) or options.get("rope_parameters", dict, {})
    rope = Options({"rope_theta": options.values.get("rope_theta")} | given, options.where)
    rope.only("partial_rotary_factor", 1)
    kind = rope.get("rope_type", str, rope.get("type", str, "default"))
    if kind not in ("default", "llama3") or any(isinstance(v, dict) for v in given.values()):
        raise options.error(f"rope_scaling {shown(given)} is not supported, only llama3's")
    base = rope.get("rope_theta", float, 10_000.0)
    settings: Settings = {"rope_base": base, "rope_factor": 1.0}
    if kind == "default":
        return settings
    return settings | {
        "rope_factor": rope.get("factor", float),
        "rope_low": rope.get("low_freq_factor", float),
        "rope_high": rope.get("high_freq_factor", float),
        "rope_original": rope.size("original_max_position_embeddings", sizes["block"]),
    }


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
    } | _biases(True, True)


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
_ALWAYS = {"attention": "grouped", "placement": "pre", "conv_kernel": 1}
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
_MISTRAL = {"num_key_value_heads": 8, "sliding_window": 4096}
_QWEN2 = {"num_key_value_heads": 32, "sliding_window": 4096, "max_window_layers": 28}
_QWEN3 = {**_QWEN2, "head_dim": 128}

FAMILIES: Mapping[str, Family] = {
    "llama": Family("LlamaForCausalLM", _SIZES, _read_llama, _write_llama, even=True),
    "mistral": Family("MistralForCausalLM", _SIZES, _read_mistral, _write_mistral, _MISTRAL),
    "qwen2": Family("Qwen2ForCausalLM", _SIZES, _read_qwen2, _write_qwen, _QWEN2),
    "qwen3": Family("Qwen3ForCausalLM", _SIZES, _read_qwen3, _write_qwen, _QWEN3),
    "gpt2": Family("GPT2LMHeadModel", _GPT2_SIZES, _read_gpt2, _write_gpt2),
}
