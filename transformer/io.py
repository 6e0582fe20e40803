"""A model as a folder: `config.json`, and the weights in `model.safetensors`.

Files appear whole or not at all. Weights are read into memory of their own: a file that is still
mapped could not be replaced on Windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from
from torch import Tensor

from transformer.blank import blank
from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder
from transformer.files import (
    CONFIG,
    WEIGHTS,
    WeightsError,
    as_json,
    as_safetensors,
    damaged,
    read,
    read_json,
    replace,
)

__all__ = ["CONFIG", "WEIGHTS", "WeightsError", "load", "load_config", "save"]


def save(decoder: Decoder, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write config and weights, as they are or as `dtype`, into `folder`, made if need be."""
    state = decoder.state_dict()
    weights = as_safetensors({name: tensor.to(dtype=dtype) for name, tensor in state.items()})
    replace(folder, {WEIGHTS: weights, CONFIG: as_json(decoder.config.to_dict())})


def load(folder: Path, dtype: torch.dtype | None = None) -> Decoder:
    """The decoder saved in `folder`, on the CPU and ready to use, as `dtype` or as it was saved.

    Raises `WeightsError`, also for a config that is no longer understood.
    """
    config = load_config(folder)
    weights = read_weights(folder / WEIGHTS)
    decoder = blank(config)
    compare(weights, decoder.state_dict(), folder / WEIGHTS)
    decoder.load_state_dict(weights, assign=True)
    return decoder.to(dtype=dtype or decoder.tokens.weight.dtype).eval()


def load_config(folder: Path) -> ModelConfig:
    """The config of the decoder saved in `folder`; raises `WeightsError`."""
    path = folder / CONFIG
    try:
        return ModelConfig.from_dict(read_json(path))
    except ConfigError as error:
        raise WeightsError(f"{path}: {error}") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by their names; raises `WeightsError`."""
    data = read(path)
    try:
        return tensors_from(data)
    except SafetensorError as error:
        raise WeightsError(damaged(path)) from error


def compare(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path, config: str = CONFIG
) -> None:
    """Refuse weights whose names or shapes are not those of the `config` beside `path`."""
    for name in sorted(found.keys() | wanted.keys()):
        shapes = [tuple(side[name].shape) if name in side else "none" for side in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise WeightsError(
                f"{path} does not belong to {config} beside it: {name} is {shapes[0]}, "
                f"expected {shapes[1]}; copy both files again"
            )
