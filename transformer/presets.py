"""Sizes with a name: each row says only how it differs from the one it is `like`.

A row that is like no other starts from the defaults of `ModelConfig`. docs/presets.md says where
each comes from, and `python -m transformer describe` shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from transformer.config import ConfigError, ModelConfig

PRESETS: Mapping[str, Mapping[str, object]] = {
    "tiny": {"like": "small", "block": 128, "width": 128},
    "slim": {"like": "small", "width": 192, "heads": 6},
    "small": {"conv_kernel": 4},
    "base": {"like": "small", "width": 512, "layers": 6, "heads": 8},
    # Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
    "gpt2": {
        "vocab_size": 50_257,
        "block": 1024,
        "width": 768,
        "layers": 12,
        "heads": 12,
        "kv_heads": 12,
        "position": "learned",
        "feedforward": "gelu_tanh",
        "norm": "layer",
        "bias": True,
    },
    "gpt2-medium": {"like": "gpt2", "width": 1024, "layers": 24, "heads": 16, "kv_heads": 16},
    "gpt2-large": {"like": "gpt2", "width": 1280, "layers": 36, "heads": 20, "kv_heads": 20},
    "gpt2-xl": {"like": "gpt2", "width": 1600, "layers": 48, "heads": 25, "kv_heads": 25},
    "gpt2-lecture": {"like": "gpt2", "qkv_bias": False, "tied": False},
    # github.com/ImadSaddik/Train_Your_Language_Model_Course: its first model …
    "course-1": {
        "vocab_size": 1029,
        "width": 512,
        "heads": 8,
        "kv_heads": 8,
        "dropout": 0.2,
        "position": "learned",
        "feedforward": "relu",
        "norm": "layer",
        "bias": True,
        "qkv_bias": False,
        "tied": False,
    },
    # … and the steps from its second course's latent attention to its best one.
    "evolution-0": {
        "like": "course-1",
        "vocab_size": 16_394,
        "block": 1024,
        "width": 256,
        "heads": 16,
        "kv_heads": 16,
        "attention": "latent",  # its latents 128 and 64 wide, as the defaults have it
    },
    "evolution-1": {"like": "evolution-0", "position": "rope"},
    "evolution-2": {"like": "evolution-1", "placement": "post"},
    "evolution-3": {"like": "evolution-2", "feedforward": "swiglu"},
    "evolution-4": {"like": "evolution-3", "dropout": 0.0},
    # Allal et al. 2025, "SmolLM2: When Smol Goes Big", arXiv 2502.02737.
    "smollm2-135m": {
        "vocab_size": 49_152,
        "block": 8192,
        "width": 576,
        "layers": 30,
        "heads": 9,
        "kv_heads": 3,
        "dropout": 0.0,
        "rope_base": 100_000.0,
    },
    # Dubey et al. 2024, "The Llama 3 Herd of Models", arXiv 2407.21783, table 3.
    "llama3-8b": {
        "vocab_size": 128_256,
        "block": 8192,
        "width": 4096,
        "layers": 32,
        "heads": 32,
        "kv_heads": 8,
        "hidden": 14_336,
        "dropout": 0.0,
        "tied": False,
        "rope_base": 500_000.0,
    },
}


def preset(name: str, **changes: object) -> ModelConfig:
    """The preset `name` with `changes`; raises `ConfigError` for what does not exist or fit.

    `vocab_size` must be among the changes where the preset has none of its own.
    """
    return ModelConfig.from_dict({**settings_of(name), **changes})


def settings_of(name: str) -> dict[str, object]:
    """The settings of the preset `name`, those of the one it is `like` included."""
    if name not in PRESETS:
        near = get_close_matches(name, PRESETS, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"pick one of {', '.join(PRESETS)}"
        raise ConfigError(f"preset {name!r} is unknown: {hint}")
    settings = dict(PRESETS[name])
    like = settings.pop("like", None)
    return settings if like is None else settings_of(str(like)) | settings
