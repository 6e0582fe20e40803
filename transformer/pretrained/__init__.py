"""Published weights in our decoder, and our decoder as others publish theirs.

    from transformer import pretrained
    decoder = pretrained.load("SmolLM2-135M")       # a folder, or a GGUF file
    pretrained.save(decoder, "mine")                # `transformers` opens it

Read in this order:

    options.py       reading somebody else's config.json
    families.py      config.json ⇄ `ModelConfig`, a table for each family
    tensor_names.py  their names and layouts of tensors ⇄ ours, a table for each way of naming
    hf_folder.py     the files of a folder, memory-mapped
    gguf.py          the header of a GGUF file (`read_metadata`)
    gguf_file.py     its tensors, read and dequantized piece by piece
    reading.py       `load`: from one of the two into a decoder
    writing.py       `save`

Weights only: this package knows no tokenizer. Importing it does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformer.pretrained.reading import load, smollm2_path
    from transformer.pretrained.writing import save

__all__ = ["load", "save", "smollm2_path"]

_LAZY = {"load": "reading", "save": "writing", "smollm2_path": "reading"}


def __getattr__(name: str) -> object:
    """Import what needs torch when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
