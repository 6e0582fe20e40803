"""A model for lessons: a workspace's, or a small one trained on the spot on the sample chats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

import minbpe
from minbpe import RegexTokenizer
from minbpe.base import Tokenizer
from minbpe.io.vocab_txt import readable
from pipeline.common.errors import DataError, one_line
from pipeline.exports.read_export import read_export
from pipeline.training.batches import Blocks
from pipeline.training.loss import summed
from pipeline.training.optimizer import optimizers, set_rate
from pipeline.training.schedule import Schedule
from pipeline.workspace.find_model import find_model
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import load

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
BLOCK, STEPS, ROWS, LEARNING_RATE = 32, 120, 16, 0.05


@dataclass(frozen=True)
class TrainedModel:
    """A decoder with its tokenizer; `origin` is a sentence."""

    decoder: Decoder
    tokenizer: Tokenizer
    origin: str

    def encode(self, text: str) -> list[int]:
        """The ids of a text; raises DataError where there are none, or more than a block."""
        return encode(self.tokenizer, text, self.decoder.config.block)

    def names(self, ids: list[int]) -> list[str]:
        """Each token as visible text."""
        return token_names(self.tokenizer, ids)


def encode(tokenizer: Tokenizer, text: str, block: int) -> list[int]:
    """The ids of a text; raises DataError where there are none, or more than a block."""
    ids = tokenizer.encode(text)
    if not 0 < len(ids) <= block:
        raise DataError(f"The text has {len(ids):,} tokens: give one with 1 to {block:,}.")
    return ids


def token_names(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    """Each token as visible text: quotes without escapes, and a mark for each space."""
    names = (readable(tokenizer.decode_bytes([i]))[1:-1] for i in ids)
    return [name.replace(r"\"", '"').replace(" ", "␣") for name in names]


def load_model(workspace: Path | None) -> TrainedModel:
    """The model of a workspace or model folder; without one, a small model trained here."""
    if workspace is None:
        return tiny_model()
    folder = find_model(workspace)
    with one_line():
        decoder, tokenizer = load(folder), minbpe.load(folder / "tokenizer.json")
    return TrainedModel(decoder.float(), tokenizer, f"The model is the one in {folder}.")


@cache
def sample_text() -> str:
    """The messages of the sample chats, one per line."""
    messages = read_export(SAMPLES).messages
    return "".join(f"{message.text}\n" for message in messages if message.kind == "text")


@cache
def sample_tokenizer() -> RegexTokenizer:
    """1,024 tokens trained on the sample chats, with GPT-2's splitting pattern."""
    return RegexTokenizer.train(sample_text(), 1024, "gpt2", workers=1)


def untrained(config: ModelConfig) -> Decoder:
    """A decoder before its first step."""
    return Decoder(config, torch.Generator().manual_seed(1)).eval()


@cache
def tiny_model() -> TrainedModel:
    """A byte-level decoder after a few seconds of training on the sample chats."""
    tokenizer = RegexTokenizer()  # no merges
    config = ModelConfig(
        vocab_size=tokenizer.size, block=128, width=64, layers=2, kv_heads=4, dropout=0.0
    )
    decoder = Decoder(config, torch.Generator().manual_seed(0))
    data = Blocks(np.array(tokenizer.encode(sample_text())), BLOCK, "overlapping", seed=0)
    optims, schedule = optimizers(decoder, weight_decay=0.1), Schedule.of(STEPS)
    for step in range(STEPS):
        set_rate(optims, LEARNING_RATE * schedule.rate(step))
        nats, targets = summed(decoder, *data.batch(step * ROWS, ROWS))
        (nats / targets).backward()  # type: ignore[no-untyped-call]
        for optimizer in optims:
            optimizer.step()
        decoder.zero_grad()
    origin = (
        f"The model was trained just now, {STEPS} steps on the sample chats in data/samples: "
        f"{sum(p.numel() for p in decoder.parameters()):,} parameters. Its tokens are single "
        "letters (bytes, to be exact). Its loss at the end is "
        f"{nats.item() / targets:.1f} nats per letter."
    )
    return TrainedModel(decoder.eval(), tokenizer, origin)
