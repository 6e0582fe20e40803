"""float16: small gradients do not vanish, large ones spoil nothing, and a stop changes nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tests_support import fit_settings

from pipeline.common.processes import ALONE
from pipeline.training import loss_scale, step
from pipeline.training.batches import Blocks
from pipeline.training.hardware.device import Machine
from pipeline.training.loss_scale import FIRST, LossScale
from pipeline.training.step import Diverged, Samples, Stepper
from transformer.config import ModelConfig
from transformer.decoder import Decoder

CPU = torch.device("cpu")
SAMPLES = Samples(0, 4, 1)


@pytest.fixture
def stepper() -> Stepper:
    config = ModelConfig(vocab_size=20, block=8, width=16, layers=1, heads=2, dropout=0.0)
    decoder = Decoder(config, torch.Generator().manual_seed(1))
    settings = fit_settings()
    data = Blocks(torch.arange(20).repeat(40).numpy(), 8, "random", 1)
    return Stepper(decoder, data, settings, Machine(CPU, "float16"), ALONE)


def weights(stepper: Stepper) -> list[torch.Tensor]:
    return [p.detach().clone() for p in stepper.model.parameters()]


def test_the_factor_halves_when_gradients_overflow_and_doubles_when_they_long_did_not(monkeypatch):
    monkeypatch.setattr(loss_scale, "STEADY", 3)
    factor = LossScale.of(torch.float16)
    assert factor.overflowed()
    found = []
    for _ in range(7):
        factor.fitted()
        found.append(factor.factor / FIRST)
    assert found == [0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 2.0]
    assert [LossScale(True, 1.0).overflowed(), LossScale(True, 2.0).overflowed()] == [False, True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_formats_need_none(dtype):
    factor = LossScale.of(dtype)
    factor.fitted()
    assert not factor.overflowed()
    assert factor.factor == 1


def test_it_learns_what_float32_learns(stepper):
    before = weights(stepper)
    short = stepper.take(SAMPLES, 1, 3e-3).loss
    ours = weights(stepper)
    long = Stepper(
        Decoder(stepper.model.config, torch.Generator().manual_seed(1)),
        stepper.data,
        stepper.settings,
        Machine(CPU),
        ALONE,
    )
    assert short == pytest.approx(long.take(SAMPLES, 1, 3e-3).loss, rel=1e-2)
    for old, one, other in zip(before, ours, weights(long), strict=True):
        changes = [(new - old).flatten() for new in (one, other)]
        assert torch.cosine_similarity(*changes, dim=0) > 0.9


@pytest.mark.parametrize("worth", [math.nan, math.inf])
def test_one_bad_gradient_changes_no_weight_at_all(stepper, monkeypatch, worth):
    gradients = Stepper.gradients

    def spoiled(self, *args, **kwargs):
        taken = gradients(self, *args, **kwargs)
        self.model.norm.weight.grad[0] = worth  # AdamW's; the matrices are Muon's
        return taken

    before = weights(stepper)
    monkeypatch.setattr(Stepper, "gradients", spoiled)
    stepper.take(SAMPLES, 1, 3e-3)
    assert stepper.scale.factor == FIRST / 2
    stepper.rehearse(4)
    assert all(map(torch.equal, before, weights(stepper)))
    stepper.scale.factor = 1.0
    with pytest.raises(Diverged, match="no longer numbers"):
        stepper.take(SAMPLES, 1, 3e-3)


def test_a_checkpoint_knows_the_factor(stepper):
    stepper.take(SAMPLES, 1, 3e-3)
    stepper.scale.factor = 1024.0
    state = stepper.state()
    stepper.use(Machine(CPU, "float16"))
    stepper.restore(state)
    assert (stepper.scale.factor, stepper.scale.held) == (1024.0, 1)
    stepper.use(Machine(CPU))
    assert step.SCALE not in stepper.state()


def test_vanishing_gradients_are_kept(stepper):
    """A loss so small that float16 has no numbers for its gradients."""
    with torch.no_grad():
        stepper.model.tokens.weight.mul_(1e-3)
    stepper.settings = replace(stepper.settings, clip=1e9)
    found = []
    for factor in (1.0, FIRST):
        stepper.scale.factor = factor
        stepper.gradients(SAMPLES)
        stepper.clip()
        attention = stepper.model.blocks[0].attention.qkv.weight.grad
        found.append(int((attention != 0).sum()))
    assert found[0] < found[1]
