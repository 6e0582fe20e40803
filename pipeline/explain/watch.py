"""Looking into a pass of a decoder: the shape after every part, and where attention looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from pipeline.errors import DataError
from transformer.attention_plan import AttentionPlan
from transformer.block import PreNorm
from transformer.decoder import Decoder


@torch.no_grad()
def shapes(decoder: Decoder, ids: Tensor, parts: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """What each of `parts` gives in a pass over `ids` (B, T), and the `logits` (B, T, V)."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, given, result: found.update({name: result})

    hooks = [part.register_forward_hook(keep(name)) for name, part in parts.items()]
    try:
        logits = decoder(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return found | {"logits": logits}


@torch.no_grad()
def maps(decoder: Decoder, ids: Tensor) -> list[Tensor]:
    """The attention of each layer, (B, H, T, T): how much of each token goes to each.

    The decoder's own attention over values that are rows of the identity gives its shares.
    """
    layers: list[Tensor] = []
    if decoder.config.attention == "linear":
        raise DataError("Linear attention has no map: it keeps a sum, not a share for each token.")
    with _watched(decoder, layers):
        decoder(ids)
    return layers


@contextmanager
def _watched(decoder: Decoder, layers: list[Tensor]) -> Iterator[None]:
    def look(block: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        x, plan, *rest = given
        return x, _recording(plan, layers), *rest

    blocks = (cast(PreNorm, block) for block in decoder.blocks)
    hooks = [block.register_forward_pre_hook(look) for block in blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _recording(plan: AttentionPlan, layers: list[Tensor]) -> AttentionPlan:
    attend = plan.attend

    def watched(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
        one_hot = torch.eye(k.size(2)).expand(*k.shape[:2], -1, -1)
        layers.append(attend(q, k, one_hot, scale))
        return attend(q, k, v, scale)

    return plan._replace(attend=cast(Any, watched))
