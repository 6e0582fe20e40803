"""One decoder made into another that keeps most of what it learned."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from transformer.config import ConfigError
from transformer.decoder import Decoder


def to_grouped(decoder: Decoder, kv_heads: int) -> Decoder:
    """A copy of `decoder` with fewer heads of keys and values, for a smaller cache.

    Each new head is the mean of those of its group (Ainslie et al. 2023, arXiv 2305.13245, section
    2.1); heads that were equal give the same logits as before, others need a few steps of training
    to get used to it (the paper: 5 % of pretraining). Raises `ConfigError` for what has no such
    heads, or a number that does not divide theirs.
    """
    old = decoder.config
    if old.attention != "grouped":
        raise ConfigError(f"attention {old.attention} has no heads to pool: only grouped has")
    fitting = [n for n in range(1, old.kv_heads + 1) if old.kv_heads % n == 0]
    if kv_heads not in fitting:
        raise ConfigError(
            f"kv_heads {old.kv_heads} cannot be pooled into {kv_heads}: "
            f"pick one of {', '.join(map(str, fitting))}"
        )
    weights = {
        name: _pooled(tensor, old.heads, kv_heads, old.head_size) if ".qkv." in name else tensor
        for name, tensor in decoder.state_dict().items()
    }
    with torch.device("meta"):  # no memory and no drawing for weights that are about to be replaced
        grouped = Decoder(replace(old, kv_heads=kv_heads))
    copies = {name: tensor.detach().clone() for name, tensor in weights.items()}
    grouped.load_state_dict(copies, assign=True)
    return grouped.to(decoder.tokens.weight).train(decoder.training)


def _pooled(qkv: Tensor, heads: int, kv_heads: int, size: int) -> Tensor:
    """Weight or bias of `qkv`, (H + 2 Hkv) D rows, with the rows of keys and of values pooled."""
    q, kv = qkv.tensor_split((heads * size,))
    groups = kv.reshape(2, kv_heads, -1, size, *qkv.shape[1:])  # keys and values
    return torch.cat((q, groups.mean(dim=2).flatten(0, 2)))
