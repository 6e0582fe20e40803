"""The files of a Hugging Face folder: config.json, and weights in one file or in several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PureWindowsPath

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from transformer.io import CONFIG, DTYPES, WEIGHTS, WeightsError, damaged, missing, read_json
from transformer.pretrained.families import config_of
from transformer.pretrained.options import Options
from transformer.pretrained.tensor_names import NAMINGS

INDEX = "model.safetensors.index.json"
_DTYPES = {name: dtype for dtype, name in DTYPES.items() if dtype.is_floating_point}


class HfFolder:
    """An open folder: its config, and its tensors by name, memory-mapped until `close`.

    Raises `WeightsError` for what is missing, damaged or not supported.
    """

    def __init__(self, where: Path) -> None:
        self.where = where
        values = read_json(where / CONFIG)
        if "model_type" not in values and "width" in values:
            raise WeightsError(f"{where} is in this project's own format: use transformer.load")
        kind, self.config = config_of(Options(values, where / CONFIG))
        self.naming = NAMINGS[kind]
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._dtypes: dict[str, torch.dtype] = {}
        self._files: dict[str, safe_open] = {}
        self._open = ExitStack()
        try:
            for path in _weights(where):
                self._add(path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Unmap all files, except those of tensors that are still in use."""
        self._files.clear()
        self._open.close()

    def dtype(self, name: str) -> torch.dtype:
        return self._dtypes[name]

    def chunks(self, name: str, together: int = 1) -> Iterator[Tensor]:
        """The rows of a tensor: all at once, since they are memory-mapped."""
        yield self._files[name].get_tensor(name)  # type: ignore[no-untyped-call]

    def _add(self, path: Path) -> None:
        if not path.exists():
            raise WeightsError(missing(path))
        try:
            file = self._open.enter_context(safe_open(path, "pt"))
        except (SafetensorError, OSError) as error:
            raise WeightsError(damaged(path)) from error
        for name in file.keys():  # noqa: SIM118 (it is not a mapping)
            if not name.isprintable():
                raise WeightsError(damaged(path))
            if name in self.shapes:
                raise WeightsError(f"{path}: {name} is there twice")
            piece = file.get_slice(name)
            if piece.get_dtype() not in _DTYPES:
                known = ", ".join(_DTYPES)
                raise WeightsError(
                    f"{path}: {name} is kept as {piece.get_dtype()}, not supported; only {known}"
                )
            self.shapes[name] = tuple(piece.get_shape())
            self._dtypes[name] = _DTYPES[piece.get_dtype()]
            self._files[name] = file


def _weights(where: Path) -> list[Path]:
    """The files that hold weights; a single one goes before an index, as in transformers."""
    if (where / WEIGHTS).exists():
        return [where / WEIGHTS]
    if not (where / INDEX).exists():
        pickled = sorted(path.name for path in where.glob("pytorch_model*.bin"))
        if pickled:
            raise WeightsError(
                f"{where} holds {pickled[0]}, which could run any program when it is read: "
                f"get the model as {WEIGHTS}"
            )
        raise WeightsError(missing(where / WEIGHTS))
    names = read_json(where / INDEX).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
        raise WeightsError(damaged(where / INDEX))
    shards = sorted(set(names.values()))
    for name in shards:
        if PureWindowsPath(name).name != name or not name.endswith(".safetensors"):
            raise WeightsError(f"{where / INDEX} names {name!r}, which is no file beside it")
    return [where / name for name in shards]
