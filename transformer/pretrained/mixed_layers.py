"""Families whose layers are not all alike: Gemma 3, SmolLM3 and LFM2."""

from __future__ import annotations

from transformer.config import ModelConfig, shortest_cycle
from transformer.hyperparameters import LayerType
from transformer.pretrained.llama_like import (
    FULL,
    SLIDING,
    Settings,
    Sizes,
    biases,
    layer_kinds,
    read_biases,
    read_rope,
    read_rotary,
    sliding_layers,
    write_llama,
    write_rotary,
    write_windows,
)
from transformer.pretrained.options import Options, shown

CONVOLUTION = "conv"


def read_smollm3(options: Options, sizes: Sizes) -> Settings:
    """Every fourth layer has no position, unless `no_rope_layers` says otherwise (1 is rotary)."""
    interval = options.size("no_rope_layer_interval", 4)
    usual = [int((index + 1) % interval != 0) for index in range(sizes["layers"])]
    rotary = options.get("no_rope_layers", list, []) or usual
    if len(rotary) < sizes["layers"] or not all(flag in (0, 1) for flag in rotary):
        raise options.error(f"no_rope_layers {shown(rotary)} is not supported")
    slides = options.get("use_sliding_window", bool, False)
    window = options.get("sliding_window", int, 0) if slides else 0
    sliding = sliding_layers(
        options, sizes, window, [FULL if flag else SLIDING for flag in rotary[: sizes["layers"]]]
    )
    types = [
        LayerType(
            position=None if flag else "none",
            pattern="local" if slides else None,
            window=window if slides else None,
        )
        for flag, slides in zip(rotary, sliding, strict=False)
    ]
    settings = read_rotary(options, sizes) | read_biases(options)
    return settings | {"pattern": "full", "layer_types": shortest_cycle(types)}


def write_smollm3(config: ModelConfig) -> Settings:
    layers = [config.layer(index) for index in range(config.layers)]
    rotary = [int(layer.position == "rope") for layer in layers]
    settings = write_llama(config) | {"no_rope_layers": rotary} | write_windows(config)
    return settings | {"pad_token_id": None}


def read_gemma3(options: Options, sizes: Sizes) -> Settings:
    """Windows with a rotary base of their own in all layers but every sixth."""
    options.only("hidden_activation", "gelu_pytorch_tanh")
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        options.only(name)
    for name in ("use_bidirectional_attention", "attention_bias"):
        options.only(name, False)
    interval = options.size("sliding_window_pattern", 6)
    usual = [SLIDING if (i + 1) % interval else FULL for i in range(sizes["layers"])]
    kinds = layer_kinds(options, sizes, usual, FULL, SLIDING)
    window = options.size("sliding_window")
    rope, local_base = _gemma3_rope(options, sizes)
    local = LayerType(
        pattern="local" if window < sizes["block"] else None,
        window=window if window < sizes["block"] else None,
        rope_base=None if local_base == rope["rope_base"] else local_base,
    )
    queries = options.size("query_pre_attn_scalar")
    types = [local if kind == SLIDING else LayerType() for kind in kinds]
    heads = read_rotary(options.without("rope_parameters", "rope_scaling"), sizes)
    return {
        **heads,
        **rope,
        **biases(False, False),
        "qk_norm": True,
        "norm": "rms_centered",
        "placement": "sandwich",
        "feedforward": "geglu_tanh",
        "embedding_scale": float(sizes["width"] ** 0.5),
        "attention_scale": 0.0 if queries == heads["head_size"] else queries**-0.5,
        "pattern": "full",
        "layer_types": shortest_cycle(types),
    }


def _gemma3_rope(options: Options, sizes: Sizes) -> tuple[Settings, float]:
    """The rotary settings of layers that see everything, and the base of those with a window."""
    no_options: Settings = {}
    both = options.get("rope_parameters", dict, no_options)
    if not {FULL, SLIDING} & both.keys():
        return read_rope(options, sizes), options.get("rope_local_base_freq", float, 10_000.0)
    nested = Options(both, options.where)
    parts = [
        read_rope(
            Options({"rope_parameters": nested.get(kind, dict, no_options)}, options.where), sizes
        )
        for kind in (FULL, SLIDING)
    ]
    whole, local = parts
    base = local["rope_base"]
    if local["rope_factor"] != 1 or not isinstance(base, float):
        raise options.error(f"rope_parameters {shown(both)} is not supported")
    return whole, base


def write_gemma3(config: ModelConfig) -> Settings:
    layers = [config.layer(index) for index in range(config.layers)]
    slides = [x.pattern == "local" or x.rope_base != config.rope_base for x in layers]
    local = next((layer for layer, s in zip(layers, slides, strict=True) if s), config)
    scale = config.attention_scale
    settings = write_rotary(config)
    for name in ("rope_theta", "rope_scaling", "hidden_act"):
        del settings[name]
    return settings | {
        "hidden_activation": "gelu_pytorch_tanh",
        "layer_types": [SLIDING if s else FULL for s in slides],
        "sliding_window": local.window or config.block,
        "query_pre_attn_scalar": max(round(scale**-2), 1) if scale else config.head_size,
        "rope_parameters": {
            FULL: {"rope_type": "default", "rope_theta": config.rope_base},
            SLIDING: {"rope_type": "default", "rope_theta": local.rope_base},
        },
        "pad_token_id": None,
    }


def read_lfm2(options: Options, sizes: Sizes) -> Settings:
    """Gated short convolutions, and attention in some layers."""
    options.only("conv_bias", False)
    attention = options.get("full_attn_idxs", list, list(range(sizes["layers"])))
    usual = [FULL if index in attention else CONVOLUTION for index in range(sizes["layers"])]
    kinds = layer_kinds(options, sizes, usual, FULL, CONVOLUTION)
    convolution = LayerType(
        attention="short_conv", position="none", mixer_kernel=options.size("conv_L_cache", 3)
    )
    types = [convolution if kind == CONVOLUTION else LayerType() for kind in kinds]
    tied = options.get("tie_embedding", bool, options.get("tie_word_embeddings", bool, True))
    return {
        **read_rotary(options, sizes, "norm_eps"),
        **biases(False, False),
        "qk_norm": True,
        "hidden": _lfm2_hidden(options),
        "tied": tied,
        "pattern": "full",
        "layer_types": shortest_cycle(types),
    }


def _lfm2_hidden(options: Options) -> int:
    """The inner width of the feed-forward: two thirds of the option, in whole multiples."""
    hidden = options.size("block_ff_dim", options.size("intermediate_size"))
    if not options.get("block_auto_adjust_ff_dim", bool, True):
        return hidden
    factor = options.get("block_ffn_dim_multiplier", float, 1.0)
    if not 0 < factor < 1000:
        raise options.error(f"block_ffn_dim_multiplier {shown(factor)} is out of range")
    hidden = int(factor * int(2 * hidden / 3))
    multiple = options.size("block_multiple_of", 256)
    return -(-hidden // multiple) * multiple


def write_lfm2(config: ModelConfig) -> Settings:
    layers = [config.layer(index) for index in range(config.layers)]
    kernels = [layer.mixer_kernel for layer in layers if layer.attention == "short_conv"]
    settings = write_rotary(config)
    for name in ("rms_norm_eps", "hidden_act"):
        del settings[name]
    return settings | {
        "norm_eps": config.norm_eps,
        "intermediate_size": config.hidden,
        "block_auto_adjust_ff_dim": False,
        "pad_token_id": None,
        "conv_bias": False,
        "conv_L_cache": kernels[0] if kernels else 3,
        "layer_types": [
            CONVOLUTION if layer.attention == "short_conv" else FULL for layer in layers
        ],
    }
