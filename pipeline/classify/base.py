"""The decoder and tokenizer that a classifier begins with: somebody's, or small ones of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import minbpe
from minbpe.base import Tokenizer
from minbpe.io import from_gguf
from pipeline.base import find
from pipeline.classify.encode import LONGEST
from pipeline.config import Model, Train
from pipeline.dialogue.template import SPECIAL
from pipeline.errors import DataError, one_line
from pipeline.stages import TOKENIZER
from pipeline.training import auto
from pipeline.training.device import Machine, candidates, peak_flops, pick_device
from pipeline.world import ALONE
from transformer import io, pretrained
from transformer.decoder import Decoder
from transformer.io import CONFIG, read_json

SMALL = 30e6  # parameters up to which everything learns
TOP = 2  # blocks that learn where not everything does


def machine_for(decoder: Decoder) -> Machine:
    """Where a decoder computes; a large one in the number format that is faster there."""
    device = pick_device("auto", ALONE)
    if size(decoder) <= SMALL:
        return Machine.plain(device)
    there = [m for m in candidates(Train(), device) if m.precision != "float16"]
    return max(there, key=peak_flops)


def size(decoder: Decoder) -> int:
    """Its parameters."""
    return sum(p.numel() for p in decoder.parameters())


@dataclass(frozen=True)
class Base:
    """A decoder in float32 on the CPU, with the tokenizer it knows."""

    decoder: Decoder
    tokenizer: Tokenizer
    name: str
    is_new: bool = False

    @property
    def learned(self) -> int:
        """How many of its last blocks learn."""
        layers = self.decoder.config.layers
        return layers if self.is_new or size(self.decoder) <= SMALL else min(TOP, layers)

    def __str__(self) -> str:
        whole = self.learned == self.decoder.config.layers
        what = "all of it learns" if whole else f"the last {self.learned} blocks and the head learn"
        return f"{self.name}, {size(self.decoder) / 1e6:.2f} M parameters: {what}"


def own(texts: Sequence[str], seed: int) -> Base:
    """A new decoder, and a tokenizer trained on the texts, each as large as they are enough for."""
    count = sum(len(text.encode()) for text in texts)
    with one_line():
        tokenizer = minbpe.RegexTokenizer.train(texts, auto.vocab_size(count), special=SPECIAL)
    tokens = sum(len(tokenizer.encode(text)) for text in texts)
    padding = tokenizer.special["<|padding|>"]
    config = auto.model_config(Model(block=LONGEST), tokens, tokenizer.size, padding)
    config = replace(config, tied=True)  # a classifier never reads the head
    decoder = Decoder(config, torch.Generator().manual_seed(seed))
    return Base(decoder, tokenizer, "a small decoder of its own", is_new=True)


def given(where: str) -> Base:
    """The model at a path: our folder, a Hugging Face folder or a GGUF file; or `smollm2`."""
    with one_line():
        path = find(where)
        tokenizer, decoder = _folder(path) if path.is_dir() else _gguf(path)
    if tokenizer.size > decoder.config.vocab_size:
        raise DataError(
            f"{path}: its tokenizer has {tokenizer.size:,} tokens, its decoder only "
            f"{decoder.config.vocab_size:,}; copy both again from where they came."
        )
    return Base(decoder, tokenizer, where)


def _gguf(path: Path) -> tuple[Tokenizer, Decoder]:
    return from_gguf(path), pretrained.load(path, torch.float32)


def _folder(path: Path) -> tuple[Tokenizer, Decoder]:
    """A folder's tokenizer lies in it, or in the workspace that a pretrained decoder is of."""
    ours = "width" in read_json(path / CONFIG)
    decoder = io.load(path, torch.float32) if ours else pretrained.load(path, torch.float32)
    workspace = path.resolve().parents[1] if len(path.resolve().parents) > 1 else path
    places = (path / "tokenizer.json", workspace / TOKENIZER)
    place = next((place for place in places if place.exists()), places[0])
    return minbpe.load(place), decoder
