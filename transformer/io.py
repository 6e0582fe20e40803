"""A model as a folder: `config.json`, and the weights in `model.safetensors`.

Files appear whole or not at all, and errors are one line. Weights are read
into memory of their own: a file that is still mapped could not be replaced on Windows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder, meta_decoder

Chunks = Iterable[bytes | memoryview]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"

DTYPES: Mapping[torch.dtype, str] = {  # as safetensors calls them
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
}


class WeightsError(ValueError):
    """A model's files are missing, damaged, or do not belong together; the message is one line."""


def save(decoder: Decoder, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write config and weights, as they are or as `dtype`, into `folder`, created if need be."""
    state = decoder.state_dict()
    weights = as_safetensors({name: tensor.to(dtype=dtype) for name, tensor in state.items()})
    replace(folder, {WEIGHTS: weights, CONFIG: as_json(decoder.config.to_dict())})


def load(folder: Path, dtype: torch.dtype | None = None) -> Decoder:
    """The decoder saved in `folder`, on the CPU and ready to use, as `dtype` or as it was saved.

    Raises `WeightsError`, also for a config that is no longer understood.
    """
    config = load_config(folder)
    weights = read_weights(folder / WEIGHTS)
    decoder = meta_decoder(config)
    check_weights(weights, decoder.state_dict(), folder / WEIGHTS)
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
        return load_safetensors(data)
    except SafetensorError as error:
        raise WeightsError(damaged(path)) from error


def check_weights(
    weights: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    path: Path,
    config: str = CONFIG,
) -> None:
    """Refuse weights whose names or shapes are not those of the `config` beside `path`."""
    for name in sorted(weights.keys() | expected.keys()):
        shapes = [
            tuple(side[name].shape) if name in side else "none" for side in (weights, expected)
        ]
        if shapes[0] != shapes[1]:
            raise WeightsError(
                f"{path} does not belong to {config} beside it: {name} is {shapes[0]}, "
                f"expected {shapes[1]}; copy both files again"
            )


def read(path: Path) -> bytes:
    """The bytes of a file that a model must have."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(missing(path)) from error


def read_json(path: Path) -> dict[str, object]:
    """The object in a JSON file that a model must have."""
    try:
        values = json.loads(read(path).decode("utf-8"))
    except WeightsError:
        raise
    except (ValueError, RecursionError) as error:
        raise WeightsError(damaged(path)) from error
    if not isinstance(values, dict):
        raise WeightsError(damaged(path))
    return values


def missing(path: Path) -> str:
    return f"{path} is missing: is {path.parent} a model's folder?"


def damaged(path: Path) -> str:
    return f"{path} is damaged: copy it again, or run again what made it"


def as_json(values: Mapping[str, object]) -> Chunks:
    """The content of a JSON file."""
    return [(json.dumps(values, indent=2) + "\n").encode("utf-8")]


def as_safetensors(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> Chunks:
    """The content of a safetensors file, tensor by tensor, so that at most one is copied.

    Not the library's own writer: that puts metadata in random order, so the same tensors would not
    always give the same bytes, and it opens files itself, while these chunks can also be hashed,
    and flushed to the disk before the file gets its name. As there, wide numbers come first, which
    keeps all of them aligned (github.com/huggingface/safetensors describes the format).
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header: dict[str, object] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].nbytes
        header[name] = {
            "dtype": DTYPES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    return _safetensors(header, [tensors[name] for name in names])


def _safetensors(header: Mapping[str, object], tensors: Iterable[Tensor]) -> Iterator[memoryview]:
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)
    yield memoryview(len(text).to_bytes(8, "little") + text)
    for tensor in tensors:
        yield tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def replace(folder: Path, files: Mapping[str, Chunks], stale: Iterable[str] = ()) -> None:
    """Write all of `files` into `folder`, then remove what is `stale`, then give them their names.

    An error while writing leaves everything as it was. The last of `files` gets its name last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {folder / name: folder / f"{name}.part" for name in files}
    try:
        for part, chunks in zip(parts.values(), files.values(), strict=True):
            _write(part, chunks)
    except BaseException:
        for part in parts.values():
            part.unlink(missing_ok=True)
        raise
    for name in stale:
        (folder / name).unlink(missing_ok=True)
    for path, part in parts.items():
        part.replace(path)


def _write(path: Path, chunks: Chunks) -> None:
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
