"""A decoder that has learned a little: trained here and now on the sample chats, or yours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

import minbpe
from minbpe import RegexTokenizer
from minbpe.base import Tokenizer
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
BLOCK, STEPS, ROWS, RATE = 32, 120, 16, 0.05


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
    from pipeline.common.tokens import visible

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
def sample_tokenizer() -> RegexTokenizer:
    """1,024 tokens learned from the sample chats, cut by GPT-2's pattern."""
    return RegexTokenizer.train(sample_text(), 1024, "gpt2", workers=1)


def untrained(config: ModelConfig) -> Decoder:
    """A decoder as it is before its first step."""
    return Decoder(config, torch.Generator().manual_seed(1)).eval()


@cache
def small() -> Trained:
    """A decoder of letters (bytes, in fact) after a few seconds with the sample chats."""
    tokenizer = RegexTokenizer()  # no merges
    config = ModelConfig(
        vocab_size=tokenizer.size, block=128, width=64, layers=2, kv_heads=4, dropout=0.0
    )
    decoder = Decoder(config, torch.Generator().manual_seed(0))
    data = Blocks(np.array(tokenizer.encode(sample_text())), BLOCK, "overlapping", seed=0)
    found, schedule = optimizers(decoder, weight_decay=0.1), Schedule.of(STEPS)
    for step in range(STEPS):
        set_rate(found, RATE * schedule.rate(step))
        nats, targets = summed(decoder, *data.batch(step * ROWS, ROWS))
        (nats / targets).backward()  # type: ignore[no-untyped-call]
        for optimizer in found:
            optimizer.step()
        decoder.zero_grad()
    told = (
        f"The model was trained just now, {STEPS} steps on the sample chats in data/samples: "
        f"{sum(p.numel() for p in decoder.parameters()):,} parameters. Its tokens are single "
        "letters (bytes, to be exact). It is left with a loss of "
        f"{nats.item() / targets:.1f} nats per letter."
    )
    return Trained(decoder.eval(), tokenizer, told)
