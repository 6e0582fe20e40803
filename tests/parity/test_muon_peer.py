"""Our Muon takes the steps of PyTorch's, up to the rounding of its bfloat16."""

from __future__ import annotations

import pytest
import torch

from pipeline.training import optimizer


@pytest.mark.parity
@pytest.mark.parametrize("shape", [(24, 40), (40, 24), (32, 32)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_steps_are_those_of_torch(shape, dtype, monkeypatch):
    monkeypatch.setattr(optimizer, "fast_dtype", lambda device: dtype)
    torch.manual_seed(0)
    start = torch.randn(shape)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    settings = {"lr": 0.01, "weight_decay": 0.1, "momentum": 0.95}
    mine = optimizer.Muon([ours], **settings)
    peer = torch.optim.Muon([theirs], **settings, adjust_lr_fn="match_rms_adamw")
    for _ in range(6):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        mine.step()
        peer.step()
    moved = (theirs - start).abs().max()
    off = (ours - theirs).abs().max()
    assert off < (0.02 if dtype is torch.float32 else 1e-3) * moved
    assert mine.state_dict()["state"].keys() == peer.state_dict()["state"].keys()


def test_the_result_is_nearly_orthogonal():
    torch.manual_seed(0)
    for shape in ((20, 50), (50, 20)):
        values = torch.linalg.svdvals(optimizer.orthogonal(torch.randn(shape)).float())
        assert 0.6 < values.min() <= values.max() < 1.3


def test_keeping_the_gram_matrix_gives_the_same_though_values_are_far_apart(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(optimizer, "fast_dtype", lambda device: torch.float32)
    x = torch.randn(40, 40) @ torch.logspace(0, -6, 40).diag() @ torch.randn(40, 90)
    by_gram = optimizer.orthogonal(x)
    monkeypatch.setattr(optimizer, "LONG", 100)
    directly = optimizer.orthogonal(x)
    assert not torch.equal(by_gram, directly)
    torch.testing.assert_close(by_gram, directly, rtol=0, atol=2e-3)
