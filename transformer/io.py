"""A model as a folder: `config.json`, and the weights in `model.safetensors`.

Files appear whole or not at all. Weights are read into memory of their own: a file that is still
mapped could not be replaced on Windows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from
from safetensors.torch import save as bytes_of
from torch import Tensor

from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


class WeightsError(ValueError):
    """A model's files are missing, damaged, or do not belong together; the message is one line."""


def save(decoder: Decoder, folder: Path) -> None:
    """Write config and weights into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous() for name, tensor in decoder.state_dict().items()}
    config = json.dumps(decoder.config.to_dict(), indent=2) + "\n"
    _replace(folder / WEIGHTS, bytes_of(weights, {"format": "pt"}))
    _replace(folder / CONFIG, config.encode("utf-8"))


def load(folder: Path, dtype: torch.dtype | None = None) -> Decoder:
    """The decoder saved in `folder`, on the CPU and ready to use, as `dtype` or as it was saved.

    Raises `WeightsError`, also for a config that is no longer understood.
    """
    config = load_config(folder)
    weights = _weights(folder / WEIGHTS)
    with torch.device("meta"):  # no memory and no drawing for weights that are about to be replaced
        decoder = Decoder(config)
    _compare(weights, decoder.state_dict(), folder / WEIGHTS)
    decoder.load_state_dict(weights, assign=True)
    return decoder.to(dtype=dtype or decoder.tokens.weight.dtype).eval()


def load_config(folder: Path) -> ModelConfig:
    """The config of the decoder saved in `folder`; raises `WeightsError`."""
    path = folder / CONFIG
    data = _read(path)
    try:
        return ModelConfig.from_dict(json.loads(data))
    except ConfigError as error:
        raise WeightsError(f"{path}: {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(_damaged(path)) from error


def _weights(path: Path) -> dict[str, Tensor]:
    data = _read(path)
    try:
        return tensors_from(data)
    except SafetensorError as error:
        raise WeightsError(_damaged(path)) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing: is {path.parent} a model's folder?") from error


def _damaged(path: Path) -> str:
    return f"{path} is damaged: copy it again, or run again what made it"


def _compare(found: dict[str, Tensor], wanted: dict[str, Tensor], path: Path) -> None:
    """Refuse weights whose names or shapes are not those of the config."""
    for name in sorted(found.keys() | wanted.keys()):
        shapes = [tuple(side[name].shape) if name in side else "none" for side in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise WeightsError(
                f"{path} does not belong to {CONFIG} beside it: {name} is {shapes[0]}, "
                f"expected {shapes[1]}; copy both files again"
            )


def _replace(path: Path, data: bytes) -> None:
    """Write under another name in the same folder, then rename: never half a file under `path`."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
