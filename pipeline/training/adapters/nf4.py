"""Frozen weights in four bits, so that a large decoder fits beside the adapters that learn.

QLoRA (Dettmers et al. 2023, arXiv 2305.14314): every 64 weights of a matrix share a scale, and each
is one of 16 levels that suit a normal distribution (NF4); the scales themselves take eight bits.
bitsandbytes quantizes and dequantizes; products use the dequantized weights, in the number format
of the activations. Embedding, head and norms stay as they are.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.common.errors import SettingsError
from transformer.decoder import Decoder
from transformer.packages import install

PACKAGE = "bitsandbytes==0.50.2"
GROUP = 64  # weights with a scale of their own


class NF4Linear(nn.Module):
    """A frozen linear layer whose weights take about 4.13 bits each."""

    bias: nn.Parameter | None
    weight: Tensor  # two weights a byte
    scales: Tensor  # one byte for each group, …
    scales_of_scales: Tensor  # … one number for each 256 of them, …
    offset: Tensor  # … and their mean
    scale_levels: Tensor  # what a byte means
    levels: Tensor  # what four bits mean

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        from bitsandbytes import functional

        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.register_parameter("bias", layer.bias)
        weight, state = functional.quantize_4bit(
            layer.weight.detach(), blocksize=GROUP, compress_statistics=True, quant_type="nf4"
        )
        for name, tensor in (
            ("weight", weight),
            ("scales", state.absmax),
            ("scales_of_scales", state.state2.absmax),
            ("offset", state.offset),
            ("scale_levels", state.state2.code),
            ("levels", state.code),
        ):
            self.register_buffer(name, tensor, persistent=False)  # packed anew, never loaded
        self.scales_together = state.state2.blocksize

    def dense(self, dtype: torch.dtype) -> Tensor:
        """The weight (out, in), dequantized."""
        from bitsandbytes import functional

        scales = functional.QuantState(  # type: ignore[no-untyped-call]
            absmax=self.scales_of_scales,
            code=self.scale_levels,
            blocksize=self.scales_together,
            dtype=torch.float32,
        )
        state = functional.QuantState(  # type: ignore[no-untyped-call]
            absmax=self.scales,
            shape=torch.Size((self.out_features, self.in_features)),
            code=self.levels,
            blocksize=GROUP,
            quant_type="nf4",
            dtype=dtype,
            offset=self.offset,
            state2=scales,
        )
        return functional.dequantize_4bit(self.weight, state)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = NF4Matmul.apply(x, self)  # type: ignore[no-untyped-call]
        return y


class NF4Matmul(torch.autograd.Function):
    """The product with an NF4 layer, which is dequantized again for the gradient, not saved."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: NF4Linear) -> Tensor:
        ctx.layer = layer
        bias = None if layer.bias is None else layer.bias.to(x.dtype)
        return F.linear(x, layer.dense(x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        return dy @ ctx.layer.dense(dy.dtype), None


def pack(decoder: Decoder, device: torch.device) -> None:
    """Quantize the linear layers of the blocks in place, one after the other, on the device.

    Raises SettingsError where that is not possible.
    """
    check(device)
    decoder.requires_grad_(False)
    for parent, name, layer in _linear(decoder):
        setattr(parent, name, NF4Linear(layer.to(device).float()))


def rounded(decoder: Decoder, device: torch.device) -> Decoder:
    """The decoder with every weight rounded as `pack` stores it.

    What an adapter that learned beside packed weights belongs to.
    """
    with torch.no_grad():
        for _, _, layer in _linear(decoder):
            packed = NF4Linear(copy.deepcopy(layer).to(device).float())
            layer.weight.copy_(packed.dense(layer.weight.dtype))
    return decoder


def _linear(decoder: Decoder) -> list[tuple[nn.Module, str, nn.Linear]]:
    """The linear layers of the blocks: the parent of each, and its name there."""
    return [
        (parent, name, layer)
        for parent in decoder.blocks.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, nn.Linear)
    ]


def check(device: torch.device) -> None:
    """Raise SettingsError without bitsandbytes, or where it cannot quantize."""
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise SettingsError(
            f"finetune.method qlora needs bitsandbytes: run `{install(PACKAGE)}`, or set lora."
        ) from None
    try:
        layer = nn.Linear(GROUP, GROUP, bias=False, device=device)
        NF4Linear(layer).dense(torch.float32)
    except (RuntimeError, NotImplementedError, OSError, ValueError) as error:
        raise SettingsError(
            f"finetune.method qlora: bitsandbytes cannot pack weights on {device.type} "
            f"({str(error).partition(chr(10))[0]}); set finetune.method to lora."
        ) from None
