"""The decoder and tokenizer that a classifier starts from: an existing model or a new one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import minbpe
from minbpe.base import Tokenizer
from pipeline.classify.text_encoder import MAX_TOKENS
from pipeline.common.errors import DataError, one_line
from pipeline.common.processes import ALONE
from pipeline.dialogue.template import SPECIAL
from pipeline.training import auto
from pipeline.training.base_model import find, gguf_tokenizer
from pipeline.training.hardware.device import Machine, candidates, peak_flops, pick_device
from pipeline.workspace.settings import Model, Train
from pipeline.workspace.stages import TOKENIZER
from transformer import io, pretrained
from transformer.decoder import Decoder
from transformer.files import CONFIG, read_json

SMALL_MODEL = 30e6  # parameters up to which every block is trained
TOP_BLOCKS = 2  # blocks that are trained in a larger model


def size(decoder: Decoder) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in decoder.parameters())


def machine_for(decoder: Decoder) -> Machine:
    """The device to compute on; for a large model in the number format that is fastest there."""
    device = pick_device("auto", ALONE)
    if size(decoder) <= SMALL_MODEL:
        return Machine.plain(device)
    machines = [m for m in candidates(Train(), device) if m.precision != "float16"]
    return max(machines, key=peak_flops)


@dataclass(frozen=True)
class Backbone:
    """A decoder in float32 on the CPU, with its tokenizer."""

    decoder: Decoder
    tokenizer: Tokenizer
    name: str
    is_new: bool = False

    @property
    def trained_blocks(self) -> int:
        """How many of the last blocks are trained."""
        layers = self.decoder.config.layers
        all_of_it = self.is_new or size(self.decoder) <= SMALL_MODEL
        return layers if all_of_it else min(TOP_BLOCKS, layers)

    @property
    def trains_all(self) -> bool:
        return self.trained_blocks == self.decoder.config.layers

    def __str__(self) -> str:
        blocks = "all blocks" if self.trains_all else f"the last {self.trained_blocks} blocks"
        return (
            f"{self.name}, {size(self.decoder) / 1e6:.2f} M parameters: {blocks} and the head are "
            "trained"
        )


def new_backbone(texts: Sequence[str], seed: int) -> Backbone:
    """A tokenizer trained on the texts and an untrained decoder, both sized to fit them."""
    text_bytes = sum(len(text.encode()) for text in texts)
    with one_line():
        tokenizer = minbpe.RegexTokenizer.train(texts, auto.vocab_size(text_bytes), special=SPECIAL)
    tokens = sum(len(tokenizer.encode(text)) for text in texts)
    padding = tokenizer.special["<|padding|>"]
    config = auto.model_config(Model(block=MAX_TOKENS), tokens, tokenizer.size, padding)
    config = replace(config, tied=True)  # a classifier never uses the language-model head
    decoder = Decoder(config, torch.Generator().manual_seed(seed))
    return Backbone(decoder, tokenizer, "a new small decoder", is_new=True)


def load_backbone(source: str) -> Backbone:
    """The model at a path (our folder, a Hugging Face folder or a GGUF file), or `smollm2`."""
    with one_line():
        path = find(source)
        if path.is_dir():
            tokenizer, decoder = _load_folder(path)
        else:
            tokenizer, decoder = gguf_tokenizer(path), pretrained.load(path, torch.float32)
    if tokenizer.size > decoder.config.vocab_size:
        raise DataError(
            f"{path}: its tokenizer has {tokenizer.size:,} tokens, its decoder only "
            f"{decoder.config.vocab_size:,}; copy both again from the original."
        )
    return Backbone(decoder, tokenizer, source)


def _load_folder(path: Path) -> tuple[Tokenizer, Decoder]:
    """The tokenizer is in the folder, or in the workspace that a pretrained decoder belongs to."""
    is_ours = "width" in read_json(path / CONFIG)
    decoder = io.load(path, torch.float32) if is_ours else pretrained.load(path, torch.float32)
    inside = path / "tokenizer.json"
    paths = [inside, *(workspace / TOKENIZER for workspace in path.resolve().parents[1:2])]
    return minbpe.load(next((p for p in paths if p.exists()), inside)), decoder
