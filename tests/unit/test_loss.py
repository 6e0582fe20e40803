"""The loss and its gradients, beside PyTorch's own cross-entropy."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training import loss
from pipeline.training.loss import summed
from transformer.config import ModelConfig
from transformer.decoder import Decoder

V, B, T = 50, 3, 11


def made(**changes: Any) -> Decoder:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"vocab_size": V, "width": 16, "layers": 2, "heads": 2, "dropout": 0.0}
    return Decoder(ModelConfig(**{**shape, **changes}))


def batch() -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(1)
    x, y = torch.randint(0, V, (2, B, T), generator=drawn)
    y[0, :4] = -1
    x[2, 7:] = -1
    y[2, 7:] = -1
    return x, y


def reference(model: Decoder, x: Tensor, y: Tensor) -> Tensor:
    logits = model(x).float().flatten(0, 1)
    return F.cross_entropy(logits, y.flatten(), reduction="sum", ignore_index=-1)


def gradients(model: Decoder, nats: Tensor) -> dict[str, Tensor | None]:
    model.zero_grad()
    (nats / 7).backward()
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks for few targets, the last one not full."""
    monkeypatch.setattr(loss, "CHUNK", {"cpu": 0})
    monkeypatch.setattr(loss, "ROWS", 4)


@pytest.mark.parametrize("tied", [True, False])
def test_loss_and_all_gradients_are_those_of_cross_entropy(tied: bool) -> None:
    model, (x, y) = made(tied=tied), batch()
    nats, count = summed(model, x, y)
    assert count == int((y >= 0).sum())
    expected = reference(model, x, y)
    torch.testing.assert_close(nats, expected)
    torch.testing.assert_close(gradients(model, nats), gradients(model, expected))


@pytest.mark.parametrize("frozen", ["tokens", "blocks"])
def test_what_is_frozen_gets_no_gradient_and_the_rest_the_same(frozen: str) -> None:
    model, (x, y) = made(), batch()
    model.get_submodule(frozen).requires_grad_(False)
    nats, _ = summed(model, x, y)
    found = gradients(model, nats)
    assert all((g is None) == name.startswith(frozen) for name, g in found.items())
    torch.testing.assert_close(found, gradients(model, reference(model, x, y)))


def test_no_gradient_is_made_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = made(), batch()
    monkeypatch.setattr(Tensor, "scatter_add_", lambda *_: pytest.fail("a gradient was made"))
    with torch.no_grad():
        nats, _ = summed(model, x, y)
    assert not nats.requires_grad
    torch.testing.assert_close(nats, reference(model, x, y).detach())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_no_more_than_its_rounding(dtype: torch.dtype) -> None:
    model, (x, y) = made(), batch()
    exact = gradients(model, reference(model, x, y))
    with torch.autocast("cpu", dtype):
        nats, _ = summed(model, x, y)
    found = gradients(model, nats)
    assert nats.dtype == torch.float32
    for name, gradient in exact.items():
        other = found[name]
        assert gradient is not None
        assert other is not None
        assert other.dtype == torch.float32
        assert (other - gradient).norm() < 0.03 * gradient.norm(), name


def test_a_target_that_is_all_but_impossible_still_has_its_exact_loss() -> None:
    hidden, weight = torch.tensor([[200.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    nats = loss._Summed.apply(hidden, weight, torch.tensor([1]))
    assert nats.item() == 400


def test_no_targets_are_no_loss() -> None:
    model, (x, y) = made(), batch()
    nats, count = summed(model, x, torch.full_like(y, -1))
    assert (nats.item(), count) == (0, 0)
    gradients(model, nats)


def test_a_second_backward_pass_is_refused() -> None:
    model, (x, y) = made(), batch()
    nats, _ = summed(model, x, y)
    nats.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="compute it anew"):
        nats.backward()


def test_the_last_feed_forward_is_spared_what_is_no_target() -> None:
    model, (x, y) = made(), batch()
    seen: list[torch.Size] = []
    for block in model.blocks:
        block.feedforward.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    _, count = summed(model, x, y)
    assert seen == [(B, T, 16), (count, 16)]
