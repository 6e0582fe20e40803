"""Adapters: our arithmetic is peft's, and nothing learns but what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear as Peers
from torch import nn

from pipeline.common.errors import SettingsError
from pipeline.training.adapters import lora
from pipeline.training.adapters.lora_linear import LoRALinear
from pipeline.training.auto import Tuning
from transformer.config import ModelConfig
from transformer.decoder import Decoder

TINY = ModelConfig(vocab_size=30, block=16, width=32, layers=3, heads=4, dropout=0.0)


def both(dropout: float = 0.0, bias: bool = False) -> tuple[LoRALinear, Peers]:
    """The same adapted layer as ours and as peft's, B no longer zero."""
    torch.manual_seed(5)
    base = nn.Linear(24, 40, bias=bias).requires_grad_(False)
    config = LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout)
    layers = [kind(base, "default", config, r=4, lora_alpha=8) for kind in (LoRALinear, Peers)]
    nn.init.normal_(layers[1].lora_B["default"].weight)
    layers[0].load_state_dict(layers[1].state_dict())
    return layers[0], layers[1]


def passed(layer: nn.Module, rows: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """What comes of one pass with a fixed input and dropout: y, and all gradients."""
    torch.manual_seed(7)
    x = torch.randn(2, rows, 24, requires_grad=True)
    with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
        y = layer(x)
    y.float().square().sum().backward()
    grads = {name: p.grad for name, p in layer.named_parameters() if p.requires_grad}
    assert len(grads) == 2
    return [y, x.grad, *grads.values()]


@pytest.mark.parametrize("rows", [2, 100])  # B A beside W, and added to it
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3, 1.0])
def test_the_arithmetic_is_pefts(rows, bias, dropout):
    ours, theirs = both(dropout, bias)
    for mine, yours in zip(
        passed(ours, rows, torch.float32), passed(theirs, rows, torch.float32), strict=True
    ):
        torch.testing.assert_close(mine, yours, rtol=1e-4, atol=1e-4)


def test_the_arithmetic_is_pefts_under_autocast():
    ours, theirs = both()
    mine, yours = (passed(layer, 100, torch.bfloat16) for layer in (ours, theirs))
    assert mine[0].dtype is yours[0].dtype is torch.bfloat16
    for a, b in zip(mine, yours, strict=True):
        assert a.dtype is b.dtype
        assert (a.float() - b.float()).norm() < 0.02 * b.float().norm()


def test_only_adapters_learn_and_the_first_gives_no_gradient_below():
    decoder = Decoder(TINY)
    lora.adapted(decoder, Tuning(rank=2, layers=(1,)))
    learning = [name for name, p in decoder.named_parameters() if p.requires_grad]
    assert learning
    assert all(name.startswith("blocks.1.") and ".lora_" in name for name in learning)
    ids = torch.randint(0, 30, (2, 8))
    below: list[bool] = []
    decoder.blocks[1].register_forward_pre_hook(lambda _, x: below.append(x[0].requires_grad))
    decoder.hidden(ids).sum().backward()
    assert below == [False]
    assert all(p.grad is None for p in decoder.parameters() if not p.requires_grad)


def test_a_block_that_is_not_there_is_refused():
    with pytest.raises(SettingsError, match="blocks from 0 to 2"):
        lora.adapted(Decoder(TINY), Tuning(layers=(3,)))


def test_the_saved_adapter_merges_into_the_same_logits(tmp_path):
    decoder, plain = Decoder(TINY), Decoder(TINY)
    plain.load_state_dict(decoder.state_dict())
    model = lora.adapted(decoder, Tuning(rank=2))
    for name, weight in decoder.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)
    folder = tmp_path / "adapter"
    lora.save_adapter(model, folder)
    lora.save_adapter(model, folder)  # over an older one
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    decoder.eval()
    ids = torch.randint(0, 30, (2, 12))
    before = plain(ids)
    whole = lora.merged(plain, folder).eval()
    assert {type(m) for m in whole.modules()}.isdisjoint({LoRALinear, Peers})
    torch.testing.assert_close(whole(ids), decoder(ids), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before, whole(ids), atol=1e-2)


def test_an_adapter_that_is_not_whole_leaves_the_one_before(tmp_path, monkeypatch):
    model = lora.adapted(Decoder(TINY), Tuning(rank=2))
    folder = tmp_path / "adapter"
    lora.save_adapter(model, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(path: str) -> None:
        Path(path).mkdir()
        (Path(path) / "adapter_model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save_pretrained", full)
    with pytest.raises(OSError, match="No space"):
        lora.save_adapter(model, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
