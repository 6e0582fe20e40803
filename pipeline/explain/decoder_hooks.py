"""Looking inside a forward pass: the output of every part, and the attention maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import cast

import torch
from torch import Tensor, nn

from pipeline.common.errors import DataError
from transformer.decoder import Decoder
from transformer.scores import Attend
from transformer.view import View


@torch.no_grad()
def outputs(decoder: Decoder, ids: Tensor, parts: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The output of each of `parts` in a pass over `ids` (B, T), and the `logits` (B, T, V)."""
    results: dict[str, Tensor] = {}

    def record(name: str) -> Callable[..., None]:
        return lambda module, args, output: results.update({name: output})

    with ExitStack() as hooks:
        for name, part in parts.items():
            hooks.enter_context(part.register_forward_hook(record(name)))
        logits = decoder(ids)
    return results | {"logits": logits}


@torch.no_grad()
def attention_maps(decoder: Decoder, ids: Tensor) -> list[Tensor]:
    """The attention weights of each layer, (B, H, T, T): a row says where one token looks.

    They are what the decoder's own attention returns for values that are rows of the identity.
    """
    if decoder.config.attention == "linear":
        raise DataError(
            "Linear attention has no map: it keeps a running sum, not a weight per token."
        )
    layers: list[Tensor] = []

    def record(block: nn.Module, args: tuple[Tensor, View]) -> tuple[object, ...]:
        x, view = args[:2]
        attend = view.attend

        def recording(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
            identity = torch.eye(k.size(2)).expand(*k.shape[:2], -1, -1)
            layers.append(attend(q, k, identity, scale))
            return attend(q, k, v, scale)

        return x, view._replace(attend=cast(Attend, recording)), *args[2:]

    with ExitStack() as hooks:
        for block in decoder.blocks:
            hooks.enter_context(block.register_forward_pre_hook(record))
        decoder(ids)
    return layers
