"""A feed-forward's gradient is the one that autograd finds, and keeps less for it."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from transformer import block
from transformer.block import FEEDFORWARDS, _SwiGLU
from transformer.config import ModelConfig

CONFIG = ModelConfig(vocab_size=10, width=16, hidden=24)


def test_the_gradient_is_that_of_its_definition():
    torch.manual_seed(0)
    gate, up = (torch.randn(5, 7, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(_SwiGLU.apply, (gate, up))
    assert torch.equal(_SwiGLU.apply(gate, up), F.silu(gate) * up)


@pytest.mark.parametrize("kind", FEEDFORWARDS)
def test_training_and_reading_give_the_same_and_training_keeps_little(kind):
    torch.manual_seed(0)
    layer, x = FEEDFORWARDS[kind](CONFIG), torch.randn(2, 3, 16, requires_grad=True)
    kept: list[torch.Tensor] = []
    with saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = layer(x)
    inner = {t.data_ptr() for t in kept if t.numel() == 2 * 3 * 24}
    gated = kind in ("swiglu", "geglu_tanh")
    assert len(inner) == (2 if gated else 1)  # what goes in, or what comes out of relu
    with torch.no_grad():
        assert torch.equal(layer(x), y)


@pytest.mark.parametrize("kind", FEEDFORWARDS)
def test_what_is_not_kept_changes_no_gradient(kind, monkeypatch):
    torch.manual_seed(0)
    layer, x = FEEDFORWARDS[kind](CONFIG), torch.randn(2, 3, 16, requires_grad=True)
    found = []
    for checkpointed in (block.checkpointed, lambda work, last, *inputs: work(*inputs)):
        monkeypatch.setattr(block, "checkpointed", checkpointed)
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        found.append(torch.autograd.grad(y.float().square().sum(), [x, *layer.parameters()]))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("frozen", [True, False])
def test_a_product_is_not_taken_twice(frozen, monkeypatch):
    torch.manual_seed(0)
    layer, x = FEEDFORWARDS["swiglu"](CONFIG), torch.randn(2, 3, 16, requires_grad=True)
    layer.down.weight.requires_grad_(not frozen)
    taken: list[int] = []
    plain = F.linear

    def counted(*given):
        made = plain(*given)
        taken.append(1)
        return made

    monkeypatch.setattr(F, "linear", counted)
    layer(x).sum().backward()
    assert len(taken) == 3
