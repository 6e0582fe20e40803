"""A decoder converted into another shape that keeps most of what it learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder, meta_decoder


def to_grouped(decoder: Decoder, kv_heads: int) -> Decoder:
    """A copy of `decoder` with fewer heads of keys and values, for a smaller cache.

    Each new head is the mean of those of its group (Ainslie et al. 2023, arXiv 2305.13245, section
    2.1); heads that were equal give the same logits as before, others need some more training (the
    paper: 5 % of pretraining). Raises `ConfigError` for an attention without such heads, or a
    number that does not divide theirs.
    """
    old = decoder.config
    if old.attention != "grouped":
        raise ConfigError(f"attention {old.attention} has no heads to pool: only grouped has")
    divisors = [n for n in range(1, old.kv_heads + 1) if old.kv_heads % n == 0]
    if kv_heads not in divisors:
        raise ConfigError(
            f"kv_heads {old.kv_heads} cannot be pooled into {kv_heads}: "
            f"pick one of {', '.join(map(str, divisors))}"
        )
    weights = {
        name: _pooled(tensor, old.heads, kv_heads, old.head_size) if ".qkv." in name else tensor
        for name, tensor in decoder.state_dict().items()
    }
    return _copied(decoder, replace(old, kv_heads=kv_heads), weights)


def with_vocabulary(decoder: Decoder, size: int) -> Decoder:
    """A copy of `decoder` for `size` tokens, at least as many as it has.

    New rows of the embedding, and of the head where it has its own, are the mean of the old ones,
    so that a new token starts out as an average one (Hewitt 2021,
    "Initializing New Word Embeddings for Pretrained Language Models").
    """
    old = decoder.config
    if size < old.vocab_size:
        raise ConfigError(f"vocab_size {old.vocab_size} cannot become {size}: pick no fewer")
    tables = ("tokens.weight", "unembed.weight")
    weights = {
        name: _extended(tensor, size) if name in tables else tensor
        for name, tensor in decoder.state_dict().items()
    }
    return _copied(decoder, replace(old, vocab_size=size), weights)


def with_block(decoder: Decoder, block: int) -> Decoder:
    """A copy of `decoder` with a context of `block` tokens; positions must be rotary."""
    if decoder.config.position != "rope":
        raise ConfigError(f"position {decoder.config.position} cannot change its block: only rope")
    return _copied(decoder, replace(decoder.config, block=block), decoder.state_dict())


def _copied(decoder: Decoder, config: ModelConfig, weights: Mapping[str, Tensor]) -> Decoder:
    """A decoder of `config` with copies of the weights, otherwise like `decoder`."""
    new = meta_decoder(config)
    copies = {name: tensor.detach().clone() for name, tensor in weights.items()}
    new.load_state_dict(copies, assign=True)
    return new.to(decoder.tokens.weight).train(decoder.training)


def _extended(table: Tensor, size: int) -> Tensor:
    mean = table.float().mean(dim=0, keepdim=True).to(table.dtype)
    return torch.cat((table, mean.expand(size - len(table), -1)))


def _pooled(qkv: Tensor, heads: int, kv_heads: int, size: int) -> Tensor:
    """Weight or bias of `qkv`, (H + 2 Hkv) D rows, with the rows of keys and of values pooled."""
    q, kv = qkv.tensor_split((heads * size,))
    groups = kv.reshape(2, kv_heads, -1, size, *qkv.shape[1:])  # keys and values
    return torch.cat((q, groups.mean(dim=2).flatten(0, 2)))
