"""SwiGLU's own gradient is the one that autograd finds, and keeps less for it."""

from __future__ import annotations

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from transformer.config import ModelConfig
from transformer.feedforward import FEEDFORWARDS, _Gated

CONFIG = ModelConfig(vocab_size=10, width=16, hidden=24)


def test_the_gradient_is_that_of_its_definition():
    torch.manual_seed(0)
    gate, up = (torch.randn(5, 7, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(_Gated.apply, (gate, up))
    assert torch.equal(_Gated.apply(gate, up), F.silu(gate) * up)


def test_training_and_reading_give_the_same_and_training_keeps_less():
    torch.manual_seed(0)
    layer, x = FEEDFORWARDS["swiglu"](CONFIG), torch.randn(2, 3, 16, requires_grad=True)
    kept: list[torch.Tensor] = []
    with saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = layer(x)
    inner = {t.data_ptr() for t in kept if t.numel() == 2 * 3 * 24}
    assert len(inner) == 3  # gate, up and their product; not silu(gate)
    with torch.no_grad():
        assert torch.equal(layer(x), y)
