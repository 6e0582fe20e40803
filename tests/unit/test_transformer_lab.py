"""Relative positions and batch norm: what they learn, and what they leak."""

from __future__ import annotations

import pytest
import torch

from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder
from transformer.io import load, save
from transformer.layers import NORMS
from transformer.positions import POSITIONS, bucket_of_distances

TINY = {"vocab_size": 50, "block": 64, "width": 16, "layers": 2, "heads": 4, "dropout": 0.0}
LAB = {**TINY, "norm": "batch", "laboratory": True}
IDS = torch.randint(50, (3, 12), generator=torch.Generator().manual_seed(0))


def tiny(**settings):
    torch.manual_seed(0)
    return Decoder(ModelConfig(**settings)).eval()


def test_short_distances_have_a_bucket_each_and_long_ones_share():
    buckets = bucket_of_distances(8, 32)
    assert buckets[:5].tolist() == [0, 1, 2, 3, 4]
    assert (buckets.diff() >= 0).all()
    assert set(buckets.tolist()) == set(range(8))
    assert buckets[-1] == buckets[-2] == 7


def test_the_bias_depends_on_the_distance_alone_and_has_its_heads_before_queries_and_keys():
    relative = POSITIONS["relative"](ModelConfig(**TINY, relative_buckets=8))
    at = torch.arange(60)
    bias = relative.bias(at, at)
    assert bias.shape == (4, 60, 60)
    torch.testing.assert_close(bias[:, 10:, 10:], bias[:, :50, :50])
    assert len(bias[0, -1].unique()) == 8
    gathered = relative.bias(at.view(3, 20), at[None, :5])  # (3, 20) queries, (1, 5) keys
    assert torch.equal(gathered, bias[:, :, :5].view(4, 3, 20, 5).movedim(0, 1))
    # Beyond the longest distance nothing changes, and the future is not an error.
    far = relative.bias(torch.tensor([127, 5000, 3]), torch.tensor([0, 9]))
    assert torch.equal(far[:, 0, 0], far[:, 1, 0])
    assert torch.equal(far[:, 2, 1], bias[:, 0, 0])


def test_all_layers_share_one_table_and_training_reaches_it():
    decoder = tiny(**TINY, position="relative").train()
    assert [n for n, _ in decoder.named_parameters() if "position" in n] == [
        "position.table.weight"
    ]
    decoder(IDS).square().mean().backward()
    reached = decoder.position.table.weight.grad.any(dim=1)
    assert reached.tolist() == [True] * 12 + [False] * 20  # distances 0 to 11


def test_relative_positions_tell_order():
    """Without them, two tokens before the last can be exchanged unseen by a single layer."""
    for position, told in (("none", False), ("relative", True)):
        decoder = tiny(**{**TINY, "layers": 1, "position": position})
        with torch.no_grad():
            decoder.blocks[0].attention.qkv.weight.mul_(20)
            if told:
                decoder.position.table.weight.normal_(std=2)
            there, back = decoder(torch.tensor([[1, 2, 3], [2, 1, 3]]))[:, -1]
        assert torch.allclose(there, back, atol=1e-6) != told


def test_batch_norm_is_refused_outside_the_laboratory():
    with pytest.raises(
        ConfigError, match=r"later ones and other rows' too.*pick norm layer or rms"
    ):
        ModelConfig(**TINY, norm="batch")
    assert ModelConfig(**LAB).norm == "batch"


@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_norms_each_channel_over_rows_and_tokens(bias):
    norm = NORMS["batch"](ModelConfig(**{**LAB, "bias": bias}))
    assert (norm.bias is not None) == bias
    x = torch.randn(5, 40, 16) * 3 + 7
    y = norm(x)
    assert y.shape == x.shape
    torch.testing.assert_close(y.mean((0, 1)), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var((0, 1), correction=0), torch.ones(16), atol=1e-4, rtol=0)


@torch.no_grad()
def test_batch_norm_leaks_in_training_and_not_in_evaluation():
    """The caveat that the refusal states, so that it stays true."""
    decoder = tiny(**LAB)
    later, other = IDS.clone(), IDS.clone()
    later[0, -1] = (later[0, -1] + 1) % 50
    other[1] = (other[1] + 1) % 50
    for changed in (later, other):
        assert torch.equal(decoder(changed)[0, :-1], decoder(IDS)[0, :-1])
    decoder.train()
    for changed in (later, other):
        assert not torch.allclose(decoder(changed)[0, :-1], decoder(IDS)[0, :-1])


@torch.no_grad()
def test_running_statistics_are_saved_with_the_weights(tmp_path):
    decoder = tiny(**LAB).train()
    for _ in range(5):
        decoder(IDS)
    decoder.eval()
    assert not torch.allclose(decoder(IDS), tiny(**LAB)(IDS))
    save(decoder, tmp_path)
    assert torch.equal(load(tmp_path)(IDS), decoder(IDS))
    halved = load(tmp_path, torch.bfloat16)
    torch.testing.assert_close(halved(IDS).float(), decoder(IDS), atol=0.02, rtol=0.05)
