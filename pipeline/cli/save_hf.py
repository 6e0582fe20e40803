"""A model as others keep theirs: a folder that `transformers` opens, weights and tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import minbpe
from minbpe.base import Tokenizer
from pipeline.common.errors import WorkspaceError
from pipeline.common.files import write_json
from pipeline.dialogue.template import END, SPECIAL
from transformer import pretrained
from transformer.decoder import Decoder
from transformer.io import load

TOKENIZER, MARK = "tokenizer.json", "tokenizer_config.json"
PADDING = SPECIAL[-1]


def convert(model: Path, folder: Path) -> None:
    """The model of a model folder, written into a new folder, or over one that was written so."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise WorkspaceError(f"{folder} holds other files; name an empty or new folder.")
    save_hf(load(model), minbpe.load(model / TOKENIZER), folder)


def save_hf(decoder: Decoder, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the files that `AutoModelForCausalLM` and `AutoTokenizer` need.

    They give the same logits and ids, but that there the name of a control token in a text is
    the token. Nothing is put before or after a text. Raises `WeightsError` for a decoder that no
    published family has.
    """
    pretrained.save(decoder, folder)
    minbpe.save(tokenizer, folder / TOKENIZER)
    document = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    if document.get("post_processor"):
        write_json(folder / TOKENIZER, {**document, "post_processor": None})
    named = {"eos_token": END, "pad_token": PADDING}
    special = {name: token for name, token in named.items() if token in tokenizer.special}
    write_json(
        folder / MARK,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": decoder.config.block,
            "clean_up_tokenization_spaces": False,
            **special,
        },
    )
