"""Sizes with a name: each row says only how it differs from the defaults of `ModelConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformer.config import ConfigError, ModelConfig

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "tiny": {"block": 128, "width": 128},
    "small": {},
    "base": {"width": 512, "layers": 6, "heads": 8},
}


def preset(name: str, **changes: Any) -> ModelConfig:
    """The preset `name` with `changes`; raises `ConfigError` for what does not exist or fit.

    `vocab_size` must be among the changes where the preset has none of its own.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset {name!r} is unknown: pick one of {', '.join(PRESETS)}")
    return ModelConfig.from_dict({**PRESETS[name], **changes})
