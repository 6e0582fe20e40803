"""Files that appear whole or not at all, and one line for what is wrong with them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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


def read(path: Path) -> bytes:
    """The bytes of a file that a model must have."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(missing(path)) from error


def read_json(path: Path) -> dict[str, Any]:
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


def as_json(values: Mapping[str, Any]) -> Chunks:
    """The content of a JSON file."""
    return [(json.dumps(values, indent=2) + "\n").encode("utf-8")]


def as_safetensors(tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> Chunks:
    """The content of a safetensors file, tensor by tensor, so that no more than one is copied.

    `facts` go into its metadata.

    Wide numbers come first, which keeps all of them aligned (the format's own writer does the
    same; github.com/huggingface/safetensors describes it).
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **(facts or {})}}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].nbytes
        header[name] = {
            "dtype": DTYPES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    return _safetensors(header, [tensors[name] for name in names])


def _safetensors(header: Mapping[str, Any], tensors: Iterable[Tensor]) -> Iterator[memoryview]:
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)
    yield memoryview(len(text).to_bytes(8, "little") + text)
    for tensor in tensors:
        yield tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def replace(folder: Path, files: Mapping[str, Chunks], stale: Iterable[str] = ()) -> None:
    """Write all of `files` into `folder`, then remove what is `stale`, then give them their names.

    What goes wrong while writing leaves everything as it was. The last of `files` gets its name
    last.
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
