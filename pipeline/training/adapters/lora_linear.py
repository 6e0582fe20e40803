"""A linear layer with an adapter, y = x (W + s B A)ᵀ + b, that saves little but x for backward.

peft makes, names, saves and merges the two small matrices (Hu et al. 2021, arXiv 2106.09685); only
the arithmetic is ours. W and b are frozen, so their gradients are never computed, and the small
products are added in place, where peft's need two more tensors of the size of y.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear
from torch import Tensor, nn

from pipeline.training.adapters.nf4 import NF4Linear

Frozen = nn.Linear | NF4Linear


class LoRALinear(Linear):
    """peft's layer with one adapter, computed by `LoRAMatmul`."""

    def _get_in_out_features(self, module: nn.Module) -> tuple[int, int]:
        layer = cast(Frozen, module)
        return layer.in_features, layer.out_features

    def forward(self, x: Tensor, *args: object, **kwargs: object) -> Tensor:
        if self.disable_adapters or self.merged:
            return cast(Tensor, self.base_layer(x))
        (name,) = self.active_adapters
        dtype = _computed_in(x)
        a, b = (cast(nn.Linear, part[name]).weight.to(dtype) for part in (self.lora_A, self.lora_B))
        dropped = getattr(self.lora_dropout[name], "p", 0.0) if self.training else 0.0
        layer = cast(Frozen, self.base_layer)
        rows = x.to(dtype).flatten(0, -2)
        y = LoRAMatmul.apply(rows, a, b, layer, self.scaling[name], dropped)  # type: ignore[no-untyped-call]
        return cast(Tensor, y.view(*x.shape[:-1], y.size(1)))


def _computed_in(x: Tensor) -> torch.dtype:
    """The number format of matrix products with x: autocast's, where it is on."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class LoRAMatmul(torch.autograd.Function):
    """y (N, out) of x (N, in), A (r, in) and B (out, r), with gradients for all three.

    B A is added to W where that is cheaper than adding its product to y: never in a 16-bit format,
    in which W would lose small changes, and not when a share of x is `dropped` on its way to A.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, a: Tensor, b: Tensor, layer: Frozen, scale: float, dropped: float
    ) -> Tensor:
        ctx.layer, ctx.scale, ctx.share = layer, scale, 1 / (1 - dropped) if dropped < 1 else 0.0
        ctx.merged = not dropped and x.dtype == torch.float32 and _fewer_in_weight(x, a, b)
        if ctx.merged:
            ctx.save_for_backward(x, a, b)
            return F.linear(x, _weight(layer, x, a, b, scale), layer.bias)
        narrow, kept = torch.native_dropout(x, dropped, True) if dropped else (x, None)
        narrow = narrow @ a.T  # (N, r)
        ctx.save_for_backward(x, a, b, narrow, kept)
        bias = None if layer.bias is None else layer.bias.to(x.dtype)
        return F.linear(x, _weight(layer, x), bias).addmm_(narrow, b.T, alpha=scale)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.merged:
            (x, a, b), kept = ctx.saved_tensors, None
            narrow = x @ a.T
        else:
            x, a, b, narrow, kept = ctx.saved_tensors
        d_narrow = (dy @ b).mul_(ctx.scale)  # (N, r)
        d_b = (dy.T @ narrow).mul_(ctx.scale)
        d_a = d_narrow.T @ _dropped(x, kept, ctx.share)
        if not ctx.needs_input_grad[0]:
            return None, d_a, d_b, None, None, None
        if ctx.merged:
            dx = dy @ _weight(ctx.layer, x, a, b, ctx.scale)
        elif kept is None:
            dx = (dy @ _weight(ctx.layer, x)).addmm_(d_narrow, a)
        else:
            dx = (dy @ _weight(ctx.layer, x)).add_(_dropped(d_narrow @ a, kept, ctx.share))
        return dx, d_a, d_b, None, None, None


def _fewer_in_weight(x: Tensor, a: Tensor, b: Tensor) -> bool:
    """Whether B A has fewer numbers than the branch reads and writes beside it."""
    columns, rows = a.size(1), b.size(0)
    return columns * rows < len(x) * (columns + rows)


def _weight(
    layer: Frozen,
    like: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    scale: float = 1.0,
) -> Tensor:
    """W, or W + s B A."""
    dtype = like.dtype
    weight = layer.dense(dtype) if isinstance(layer, NF4Linear) else layer.weight.to(dtype)
    return weight if a is None or b is None else torch.addmm(weight, b, a, alpha=scale)


def _dropped(x: Tensor, kept: Tensor | None, share: float) -> Tensor:
    """x where it was `kept`, larger by `share`; dropout is its own derivative."""
    return x if kept is None else torch.ops.aten.native_dropout_backward(x, kept, share)
