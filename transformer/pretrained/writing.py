"""`save`: our decoder in the layout of a published family, so that others can open it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from transformer.decoder import Decoder
from transformer.io import CONFIG, WEIGHTS, Chunks, as_json, as_safetensors, replace
from transformer.pretrained.families import family_of
from transformer.pretrained.hf_folder import INDEX
from transformer.pretrained.tensor_names import NAMINGS, Place, places

SHARD = 5_000_000_000  # bytes; more weights than this go into several files


def save(decoder: Decoder, folder: Path | str, shard: int = SHARD) -> None:
    """Write config.json and safetensors into `folder`, as the family that `decoder` belongs to.

    `transformers.AutoModelForCausalLM.from_pretrained` opens it and gives the same logits; dropout
    and the padding id are lost where a family has no option for them. Weights above `shard` bytes
    go into several files. Memory is needed for one tensor at most. Raises `WeightsError` for a
    decoder that no published family has.
    """
    folder = Path(folder)
    kind, options = family_of(decoder.config)
    dtype = str(decoder.tokens.weight.dtype).removeprefix("torch.")
    # Without these, transformers would stop at the ids that a published model happens to use.
    options |= {"bos_token_id": None, "eos_token_id": None, "torch_dtype": dtype}
    ours = decoder.state_dict()
    naming = NAMINGS[kind]
    named = {
        naming.full(name): place for name, place in places(naming, decoder.config, ours).items()
    }
    files = _weights(named, ours, shard)
    stale = [path.name for path in folder.glob("model*.safetensors") if path.name not in files]
    replace(folder, {**files, CONFIG: as_json(options)}, stale=[INDEX, *stale])


def _weights(
    named: Mapping[str, Place], ours: Mapping[str, Tensor], shard: int
) -> dict[str, Chunks]:
    """The content of each file with weights, and of the index when there are several."""
    pieces = {name: place.view(ours[place.name]) for name, place in sorted(named.items())}
    groups: list[dict[str, Tensor]] = [{}]
    space = shard
    for name, piece in pieces.items():
        if groups[-1] and piece.nbytes > space:
            groups.append({})
            space = shard
        groups[-1][name] = piece
        space -= piece.nbytes
    if len(groups) == 1:
        return {WEIGHTS: as_safetensors(pieces)}
    total = sum(piece.nbytes for piece in pieces.values())
    weight_map: dict[str, str] = {}
    files: dict[str, Chunks] = {}
    for number, group in enumerate(groups, start=1):
        file = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        files[file] = as_safetensors(group)
        weight_map |= dict.fromkeys(group, file)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    return {**files, INDEX: as_json(index)}
