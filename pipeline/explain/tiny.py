"""A decoder that has learned a little: the sample chats', trained here and now, or a workspace's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

import minbpe
from minbpe import RegexTokenizer
from minbpe.base import Tokenizer
from pipeline.errors import DataError, one_line
from pipeline.serving.find import find_model
from pipeline.training.batches import Blocks
from pipeline.training.loss import summed
from pipeline.training.optimizer import optimizers, set_rate
from pipeline.training.schedule import Schedule
from pipeline.whatsapp.export import read_export
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import load

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
VOCABULARY = 512
STEPS, ROWS, RATE = 250, 8, 0.01


@dataclass(frozen=True)
class Trained:
    """A decoder with its tokenizer; `told` says in a sentence where it is from."""

    decoder: Decoder
    tokenizer: Tokenizer
    told: str

    def encode(self, text: str) -> list[int]:
        """The ids of a text; raises DataError where there are none, or too many."""
        return encoded(self.tokenizer, text, self.decoder.config.block)

    def names(self, ids: list[int]) -> list[str]:
        """Each id as text that can be seen."""
        return shown(self.tokenizer, ids)


def encoded(tokenizer: Tokenizer, text: str, block: int) -> list[int]:
    """The ids of a text; raises DataError where there are none, or more than a block."""
    ids = tokenizer.encode(text)
    if not 0 < len(ids) <= block:
        raise DataError(f"The text has {len(ids):,} tokens: give one with 1 to {block:,}.")
    return ids


def shown(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    """Each id as text that can be seen: spaces too."""
    from pipeline.tokenizer_show import visible

    return [visible(tokenizer.decode_bytes([i])) for i in ids]


def trained(workspace: Path | None) -> Trained:
    """The model of a workspace (or a model's folder), or one trained for a few seconds."""
    if workspace is None:
        return small()
    folder = find_model(workspace)
    with one_line():
        decoder, tokenizer = load(folder), minbpe.load(folder / "tokenizer.json")
    return Trained(decoder.float(), tokenizer, f"The model is that of {folder}.")


@cache
def sample_text() -> str:
    """What people write in the sample chats, a message a line."""
    messages = read_export(SAMPLES).messages
    return "".join(f"{message.text}\n" for message in messages if message.kind == "text")


@cache
def sample_tokenizer(vocabulary: int = VOCABULARY, pattern: str = "gpt2") -> RegexTokenizer:
    """Learned from the sample chats."""
    return RegexTokenizer.train(sample_text(), vocabulary, pattern, workers=1)


def config_of(vocabulary: int) -> ModelConfig:
    """The shape of the small decoder."""
    return ModelConfig(
        vocab_size=vocabulary, block=64, width=64, layers=2, heads=4, kv_heads=4, dropout=0.0
    )


def untrained(config: ModelConfig) -> Decoder:
    """A decoder as it is before its first step."""
    return Decoder(config, torch.Generator().manual_seed(1)).eval()


@cache
def small() -> Trained:
    """A decoder of 100,000 parameters after a few seconds with the sample chats."""
    tokenizer = sample_tokenizer()
    decoder = Decoder(config_of(tokenizer.size), torch.Generator().manual_seed(0))
    data = Blocks(np.array(tokenizer.encode(sample_text())), 64, "overlapping", seed=0)
    found, schedule = optimizers(decoder, weight_decay=0.1), Schedule.of(STEPS)
    for step in range(STEPS):
        set_rate(found, RATE * schedule.rate(step))
        nats, targets = summed(decoder, *data.batch(step * ROWS, ROWS))
        (nats / targets).backward()  # type: ignore[no-untyped-call]
        for optimizer in found:
            optimizer.step()
        decoder.zero_grad()
    told = (
        f"The model was trained just now: {sum(p.numel() for p in decoder.parameters()):,} "
        f"parameters, {STEPS} steps on the sample chats in data/samples, "
        f"{nats.item() / targets:.1f} nats per token at the end."
    )
    return Trained(decoder.eval(), tokenizer, told)
