"""`load`: somebody else's weights, piece by piece, into a decoder that has no memory yet."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from transformer.blank import blank
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.files import WeightsError
from transformer.pretrained.folder import Folder
from transformer.pretrained.names import Naming, Place, places

LISTED = 8  # names in a message; the rest is counted


class Source(Protocol):
    """What is open for reading: a folder or a GGUF file."""

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
    with closing(_opened(Path(path))) as source:
        decoder = _blank(source)
        ours = decoder.state_dict()
        wanted = places(source.naming, source.config, ours)
        found = _names(source, wanted)
        _compare(source, wanted, found, ours)
        dtype = dtype or source.dtype(found[_embedding(source)])
        weights = {name: torch.empty(blank.shape, dtype=dtype) for name, blank in ours.items()}
        for theirs, place in wanted.items():
            together = place.rows // place.heads if place.heads else 1
            _fill(place.view(weights[place.name]), source.chunks(found[theirs], together))
    decoder.load_state_dict(weights, assign=True)
    return decoder.to(dtype=dtype).eval()


def _opened(path: Path) -> Source:
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise WeightsError(f"{path} does not exist: give a model's folder or a GGUF file")
    from transformer.pretrained.gguf_file import GgufFile

    return GgufFile(path)


def _blank(source: Source) -> Decoder:
    """The decoder without memory for its weights; not built when the file cannot hold them."""
    config = source.config
    widest = config.width * max(config.vocab_size, config.hidden, config.heads * config.head_size)
    numbers = sum(math.prod(shape) for shape in source.shapes.values())
    if config.layers > len(source.shapes) or widest > numbers:
        raise WeightsError(f"{source.where}: the config asks for more weights than there are")
    return blank(config)


def _names(source: Source, wanted: Mapping[str, Place]) -> dict[str, str]:
    """What the file calls each tensor that matters, by its name without prefix."""
    naming = source.naming
    found: dict[str, str] = {}
    for name in source.shapes:
        plain = name.removeprefix(naming.prefix)
        if plain in found:
            raise WeightsError(f"{source.where}: {plain} is there twice")
        if plain in wanted or not re.fullmatch(naming.ignored, plain):
            found[plain] = name
    if naming.head in found and naming.head not in wanted:
        _check_tied(source, found)
        del found[naming.head]
    return found


def _embedding(source: Source) -> str:
    return f"{source.naming.rows['tokens'][0]}.weight"


def _check_tied(source: Source, found: Mapping[str, str]) -> None:
    """A head that the config ties to the embedding may be there too, if it is the same."""
    pair = [found.get(name, "") for name in (source.naming.head, _embedding(source))]
    if pair[1]:
        head, embedding = (torch.cat(list(source.chunks(name))) for name in pair)
        if head.dtype == embedding.dtype and torch.equal(head, embedding):
            return
    raise WeightsError(
        f"{source.where}: the config says tie_word_embeddings, but {pair[0]} is not the embedding"
    )


def _compare(
    source: Source,
    wanted: Mapping[str, Place],
    found: Mapping[str, str],
    ours: Mapping[str, Tensor],
) -> None:
    """Refuse tensors that are missing, left over, or of another shape; all are named."""
    shapes = {name: place.shape(ours[place.name].shape) for name, place in wanted.items()}
    missing = [source.naming.full(name) for name in wanted if name not in found]
    left_over = [found[name] for name in found if name not in wanted]
    wrong = [
        f"{found[name]} {source.shapes[found[name]]} instead of {shape}"
        for name, shape in shapes.items()
        if name in found and source.shapes[found[name]] != shape
    ]
    faults = {"missing": missing, "not known": left_over, "of another shape": wrong}
    if any(faults.values()):
        told = [f"{what}: {_listed(names)}" for what, names in faults.items() if names]
        raise WeightsError(f"{source.where}: weights do not fit the config; {'; '.join(told)}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _fill(into: Tensor, chunks: Iterator[Tensor]) -> None:
    """Copy chunks one below the other; `into` may split the rows of the file further."""
    row = math.prod(into.shape[1:])
    at = 0
    for chunk in chunks:
        part = into.narrow(0, at, chunk.numel() // row)
        part.copy_(chunk.view(part.shape))
        at += part.size(0)
