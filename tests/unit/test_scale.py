"""float16: small gradients do not vanish, large ones spoil nothing, and a stop changes nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tests_support import fit_settings

from pipeline.common.processes import ALONE
from pipeline.training.batches import Blocks
from pipeline.training.state import ComputePlan
from pipeline.training.step import LOSS_SCALE, NonFiniteError, Stepper
from transformer.config import ModelConfig
from transformer.decoder import Decoder

FIRST_SCALE = 2.0**16


def stepper_in(dtype: str) -> Stepper:
    config = ModelConfig(vocab_size=20, block=8, width=16, layers=1, heads=2, dropout=0.0)
    decoder = Decoder(config, torch.Generator().manual_seed(1))
    data = Blocks(torch.arange(20).repeat(40).numpy(), 8, "random", 1)
    plan = ComputePlan(4, dtype=dtype)
    return Stepper(decoder, data, fit_settings(), torch.device("cpu"), plan, ALONE)


@pytest.fixture
def stepper() -> Stepper:
    return stepper_in("float16")


def weights(stepper: Stepper) -> list[torch.Tensor]:
    return [p.detach().clone() for p in stepper.model.parameters()]


def set_scale(stepper: Stepper, scale: float, steps: int = 0) -> None:
    saved = {"scale": scale, "_growth_tracker": steps}
    stepper.scaler.load_state_dict({**stepper.scaler.state_dict(), **saved})


def test_the_scale_doubles_when_gradients_long_did_not_overflow(stepper):
    stepper.step(0, 1, 3e-3)
    set_scale(stepper, 1024.0, steps=1998)
    scales = []
    for number in range(1, 4):
        stepper.step(4 * number, 1, 3e-3)
        scales.append(stepper.scaler.get_scale())
    assert scales == [1024.0, 2048.0, 2048.0]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_other_formats_need_none(dtype):
    stepper = stepper_in(dtype)
    stepper.step(0, 1, 3e-3)
    assert stepper.scaler.get_scale() == 1
    assert LOSS_SCALE not in stepper.tensors()


def test_it_learns_what_float32_learns(stepper):
    before, long = weights(stepper), stepper_in("float32")
    loss = stepper.step(0, 1, 3e-3).loss
    assert loss == pytest.approx(long.step(0, 1, 3e-3).loss, rel=1e-2)
    for old, one, other in zip(before, weights(stepper), weights(long), strict=True):
        changes = [(new - old).flatten() for new in (one, other)]
        assert torch.cosine_similarity(*changes, dim=0) > 0.9


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("of_muon", [False, True])
def test_one_bad_gradient_changes_no_weight_at_all(stepper, monkeypatch, value, of_muon):
    gradients = Stepper.gradients

    def spoiled(self, *args):
        result = gradients(self, *args)
        block = self.model.blocks[0].attention
        (block.qkv.weight if of_muon else self.model.norm.weight).grad[0] = value
        return result

    before = weights(stepper)
    monkeypatch.setattr(Stepper, "gradients", spoiled)
    stepper.step(0, 1, 3e-3)
    assert stepper.scaler.get_scale() == FIRST_SCALE / 2
    stepper.dry_run(4)
    assert all(map(torch.equal, before, weights(stepper)))
    set_scale(stepper, 1.0)
    with pytest.raises(NonFiniteError, match="no longer numbers"):
        stepper.step(0, 1, 3e-3)
    stepper = stepper_in("float32")
    with pytest.raises(NonFiniteError, match="no longer numbers"):
        stepper.step(0, 1, 3e-3)
    assert all(map(torch.equal, before, weights(stepper)))


def test_a_checkpoint_knows_the_scale(stepper):
    stepper.step(0, 1, 3e-3)
    set_scale(stepper, 1024.0, steps=1)
    saved = stepper.tensors()
    assert saved[LOSS_SCALE].tolist() == [1024.0, 1.0]  # as the first version wrote it
    stepper.reset()
    stepper.restore(saved)
    stepper.step(4, 2, 3e-3)
    assert stepper.tensors()[LOSS_SCALE].tolist() == [1024.0, 2.0]


def test_vanishing_gradients_are_kept(stepper):
    """A loss so small that float16 has no numbers for its gradients."""
    with torch.no_grad():
        stepper.model.tokens.weight.mul_(1e-3)
    stepper.settings = replace(stepper.settings, clip=1e9)
    nonzero = []
    for scale in (1.0, FIRST_SCALE):
        set_scale(stepper, scale)
        stepper.gradients(0)
        attention = stepper.model.blocks[0].attention.qkv.weight.grad
        nonzero.append(int((attention != 0).sum()))
    assert nonzero[0] < nonzero[1]
