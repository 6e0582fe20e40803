"""`save-hf`: the model as a folder that `transformers` opens, weights and tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import click

import minbpe
from minbpe.base import Tokenizer
from pipeline.cli import shared_options
from pipeline.common.errors import WorkspaceError, one_line
from pipeline.common.files import write_json
from pipeline.dialogue.template import END, SPECIAL
from pipeline.workspace.find_model import find_model
from transformer import pretrained
from transformer.decoder import Decoder
from transformer.io import load

TOKENIZER, MARK = "tokenizer.json", "tokenizer_config.json"
PADDING = SPECIAL[-1]


@click.command()
@click.argument("folder", type=shared_options.PATH)
@click.argument("model", required=False, type=shared_options.PATH)
@shared_options.workspace
def save_hf(folder: Path, model: Path | None, workspace: Path | None) -> None:
    """Write the model, or the one named, as a folder that transformers opens."""
    if model is not None and workspace is not None:
        raise click.UsageError("Name a model or a workspace, not both.")
    with one_line():
        source = find_model(model or workspace)
        if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
            raise WorkspaceError(f"{folder} holds other files; name an empty or new folder.")
        write_folder(load(source), minbpe.load(source / TOKENIZER), folder)
    click.echo(f"{folder} is written; transformers opens it.")


def write_folder(decoder: Decoder, tokenizer: Tokenizer, folder: Path) -> None:
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
