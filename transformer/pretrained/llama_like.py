"""The options that Llama's relatives share, read and written: heads, rotary positions, windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transformer.config import ModelConfig, shortest_cycle
from transformer.hyperparameters import LayerType
from transformer.pretrained.options import Options, shown

Settings = dict[str, object]
Sizes = Mapping[str, int]

FULL, SLIDING = "full_attention", "sliding_attention"


def read_llama(options: Options, sizes: Sizes) -> Settings:
    options.only("sliding_window")
    return read_rotary(options, sizes) | _same_window(options, sizes) | read_biases(options)


def write_llama(config: ModelConfig) -> Settings:
    return write_rotary(config) | {"attention_bias": config.bias, "mlp_bias": config.bias}


def read_mistral(options: Options, sizes: Sizes) -> Settings:
    window = options.get("sliding_window", int, 0)
    return read_rotary(options, sizes) | _same_window(options, sizes, window) | biases(False, False)


def write_mistral(config: ModelConfig) -> Settings:
    return write_rotary(config) | {"sliding_window": _window(config)}


def read_qwen2(options: Options, sizes: Sizes) -> Settings:
    return _read_qwen(options, sizes) | biases(False, True)


def read_qwen3(options: Options, sizes: Sizes) -> Settings:
    return _read_qwen(options, sizes) | biases(False, False) | {"qk_norm": True}


def _read_qwen(options: Options, sizes: Sizes) -> Settings:
    options.only("attention_bias", False)
    slides = options.get("use_sliding_window", bool, False)
    window = options.get("sliding_window", int, 0) if slides else 0
    first = options.get("max_window_layers", int, 0)
    kinds = [FULL if index < first else SLIDING for index in range(sizes["layers"])]
    sliding = sliding_layers(options, sizes, window, kinds)
    if all(sliding):
        return read_rotary(options, sizes) | {"pattern": "local", "window": window}
    types = [LayerType(pattern="local", window=window) if s else LayerType() for s in sliding]
    return read_rotary(options, sizes) | {"pattern": "full", "layer_types": shortest_cycle(types)}


def write_qwen(config: ModelConfig) -> Settings:
    if config.layer_types:
        return write_rotary(config) | write_windows(config) | {"max_window_layers": config.layers}
    window = _window(config)
    slides = {"use_sliding_window": window is not None, "sliding_window": window}
    return write_rotary(config) | slides | {"max_window_layers": 0 if window else config.layers}


def biases(everywhere: bool, qkv: bool) -> Settings:
    return {"bias": everywhere, "qkv_bias": qkv, "qk_norm": False}


def read_biases(options: Options) -> Settings:
    bias = options.get("attention_bias", bool, False)
    if options.get("mlp_bias", bool, False) != bias:
        raise options.error("attention_bias without mlp_bias, or the reverse, is not supported")
    return biases(bias, bias)


def layer_kinds(options: Options, sizes: Sizes, usual: Sequence[str], *known: str) -> list[str]:
    """The kind of each layer: `layer_types`, all of them `known`, or else the `usual` ones."""
    kinds = options.get("layer_types", list, []) or list(usual)
    if len(kinds) != sizes["layers"] or not all(kind in known for kind in kinds):
        raise options.error(f"layer_types {shown(kinds)} is not supported")
    return kinds


def sliding_layers(options: Options, sizes: Sizes, window: int, usual: Sequence[str]) -> list[bool]:
    """Which layers have a window that hides something."""
    hides = 0 < window < sizes["block"]
    return [hides and kind == SLIDING for kind in layer_kinds(options, sizes, usual, FULL, SLIDING)]


def write_windows(config: ModelConfig) -> Settings:
    """The window, and which layers have it."""
    layers = [config.layer(index) for index in range(config.layers)]
    windows = [layer.window for layer in layers if layer.pattern == "local"]
    kinds = [SLIDING if layer.pattern == "local" else FULL for layer in layers]
    return {
        "use_sliding_window": bool(windows),
        "sliding_window": windows[0] if windows else None,
        "layer_types": kinds,
    }


def _same_window(options: Options, sizes: Sizes, window: int = 0) -> Settings:
    """The pattern of a `window` that all layers have or none."""
    sliding = sliding_layers(options, sizes, window, [SLIDING] * sizes["layers"])
    if not any(sliding):
        return {"pattern": "full"}
    if not all(sliding):
        raise options.error("a sliding window in some layers only is not supported (layer_types)")
    return {"pattern": "local", "window": window}


def _window(config: ModelConfig) -> int | None:
    return config.window if config.pattern == "local" else None


def read_rotary(options: Options, sizes: Sizes, eps: str = "rms_norm_eps") -> Settings:
    options.only("hidden_act", "silu", "swish")
    options.only("partial_rotary_factor", 1)
    options.only("rope_interleaved", False)
    return {
        "kv_heads": options.size("num_key_value_heads", sizes["heads"]),
        "head_size": options.size("head_dim", sizes["width"] // sizes["heads"]),
        "norm_eps": options.get(eps, float, 1e-6),
        "tied": options.get("tie_word_embeddings", bool, False),
        "position": "rope",
        "norm": "rms",
        "feedforward": "swiglu",
        "dropout": 0.0,
    } | read_rope(options, sizes)


def write_rotary(config: ModelConfig) -> Settings:
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


def read_rope(options: Options, sizes: Sizes) -> Settings:
    """From `rope_theta` and `rope_scaling`, or from `rope_parameters`, which is both in one."""
    no_options: Settings = {}
    given = options.get("rope_scaling", dict, no_options)
    given = given or options.get("rope_parameters", dict, no_options)
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
