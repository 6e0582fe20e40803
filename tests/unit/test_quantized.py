"""Packed weights: as exact as four bits are, trained beside, resumed, and merged without a rest."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("bitsandbytes", reason="needs `pip install bitsandbytes==0.50.2`")

from pipeline.common.errors import SettingsError
from pipeline.common.screen import Screen
from pipeline.training.adapters import lora, nf4
from pipeline.training.auto import Tuning
from pipeline.training.batches import Blocks
from pipeline.training.hardware.flops import per_token
from pipeline.training.loop import fit
from pipeline.training.state import FitSettings, Parts
from pipeline.training.validation import Loss, measure, windows
from pipeline.workspace.settings import Train
from transformer.config import ModelConfig
from transformer.decoder import Decoder

CPU = torch.device("cpu")
TINY = ModelConfig(vocab_size=20, block=8, width=64, layers=2, heads=2, dropout=0.0)
QLORA = Tuning(method="qlora", rank=4, dropout=0.0)
IDS = np.tile(np.arange(20), 40).astype(np.uint16)


def made() -> Decoder:
    """A decoder whose frozen head can say something."""
    torch.manual_seed(1)
    decoder = Decoder(TINY)
    nn.init.normal_(decoder.tokens.weight, std=0.3)
    return decoder


def packed_and_adapted() -> tuple[Decoder, object]:
    decoder = made()
    nf4.pack(decoder, CPU)
    return decoder, lora.adapted(decoder, QLORA)


def test_a_packed_weight_is_near_and_small():
    layer = nn.Linear(256, 512)
    packed = nf4.NF4Linear(layer)
    error = (packed.dense(torch.float32) - layer.weight).square().mean().sqrt()
    assert 0 < error / layer.weight.std() < 0.13  # uniform weights: half of a 16th, and the scales
    held = sum(b.numel() * b.element_size() for b in (packed.weight, packed.scales))
    assert held * 8 / layer.weight.numel() == 4.125
    assert packed.dense(torch.bfloat16).dtype is torch.bfloat16


def test_all_of_it_moves_with_the_model():
    packed = nf4.NF4Linear(nn.Linear(64, 64)).to("meta")
    held = [v for v in vars(packed).values() if isinstance(v, torch.Tensor)]
    assert not held  # a tensor that is no buffer would stay behind
    assert {t.device.type for t in (*packed.buffers(), *packed.parameters())} == {"meta"}


def test_what_packing_keeps_can_be_had_as_an_ordinary_decoder():
    packed, plain = made(), nf4.rounded(made(), CPU)
    nf4.pack(packed, CPU)
    ids = torch.randint(0, 20, (2, 8))
    assert Counter(map(type, packed.blocks.modules()))[nf4.NF4Linear] == 10
    assert torch.equal(packed(ids), plain(ids))
    assert not torch.allclose(plain(ids), made()(ids), atol=1e-3)
    assert packed.tokens.weight.equal(plain.tokens.weight)


def test_gradients_are_those_of_the_unpacked_weights():
    packed, plain = (made() for _ in range(2))
    nf4.pack(packed, CPU)
    nf4.rounded(plain, CPU).requires_grad_(False)
    found = []
    for decoder in (packed, plain):
        torch.manual_seed(3)
        lora.adapted(decoder, Tuning(rank=4, layers=(0,)))
        for name, weight in decoder.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(weight)
        decoder(torch.arange(8)[None]).square().sum().backward()
        found.append([p.grad for p in decoder.parameters() if p.requires_grad])
    assert len(found[0]) == 10
    for mine, yours in zip(*found, strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-4, atol=1e-5)


def test_operations_are_counted_as_of_ordinary_weights():
    packed, plain = made(), made().requires_grad_(False)
    nf4.pack(packed, CPU)
    assert per_token(packed) == per_token(plain)


class Trial:
    """A packed decoder with adapters that learn an easy text."""

    def __init__(self, folder: Path, screen: Screen) -> None:
        self.decoder, self.model = packed_and_adapted()
        self.folder, self.screen, self.samples, self.stop_at = folder, screen, 0, 0
        folder.mkdir(exist_ok=True)

    def run(self, steps: int) -> None:
        settings = FitSettings(
            name="finetune",
            key="k",
            minutes=1.0,
            epochs=steps * 4 / 99,
            batch=4,
            accumulation=1,
            learning_rate=3e-2,
            weight_decay=0.0,
            patience=0,
            train=Train(device="cpu", precision="float32", evaluate_every=10, threads=1),
        )
        parts = Parts(
            model=self.decoder,
            device=torch.device("cpu"),
            data=Blocks(IDS, 8, "random", 1),
            evaluate=self.evaluate,
            keep=lambda _: lora.save_adapter(self.model, self.folder / "adapter"),
            sample=self.sample,
        )
        fit(parts, settings, self.folder, self.screen)

    def evaluate(self, objective: nn.Module) -> Loss:
        return measure(objective, windows(IDS[:100], 8), 99)

    def sample(self) -> str:
        self.samples += 1
        if self.samples == self.stop_at:
            signal.raise_signal(signal.SIGINT)
        return "sample"

    def adapters(self) -> dict[str, torch.Tensor]:
        return {n: p.detach() for n, p in self.decoder.named_parameters() if p.requires_grad}


def test_it_learns_resumes_exactly_and_merges_into_the_same_logits(tmp_path, console):
    whole = Trial(tmp_path / "whole", Screen(console))
    ids = torch.arange(8)[None]
    target = torch.arange(1, 9)
    before = nn.functional.cross_entropy(whole.decoder(ids)[0], target)
    first = next(iter(whole.adapters().values())).clone()
    whole.run(60)
    assert nn.functional.cross_entropy(whole.decoder(ids)[0], target) < 0.5 * before

    parts = Trial(tmp_path / "parts", Screen(console))
    parts.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        parts.run(60)
    assert not torch.equal(next(iter(parts.adapters().values())), first)
    parts = Trial(tmp_path / "parts", Screen(console))
    parts.run(60)
    mine, yours = parts.adapters(), whole.adapters()
    assert mine.keys() == yours.keys()
    assert all(".lora_" in name for name in mine)
    assert all(torch.equal(mine[name], yours[name]) for name in mine)

    lora.save_adapter(whole.model, tmp_path / "adapter")
    merged = lora.merged(nf4.rounded(made(), CPU), tmp_path / "adapter")
    torch.testing.assert_close(merged(ids), whole.decoder(ids), rtol=1e-4, atol=1e-4)


def test_without_bitsandbytes_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(SettingsError, match=r"pip install bitsandbytes==0\.50\.2"):
        nf4.pack(made(), CPU)


def test_where_it_cannot_pack_one_line_says_so(monkeypatch):
    def refuse(*args: object, **_: object) -> None:
        raise NotImplementedError("no kernel\nfor this device")

    monkeypatch.setattr("bitsandbytes.functional.quantize_4bit", refuse)
    with pytest.raises(SettingsError) as caught:
        nf4.pack(made(), CPU)
    assert "cannot pack weights on cpu (no kernel)" in str(caught.value)
    assert "\n" not in str(caught.value)
