"""The short convolution: what it computes, where it begins, and which ids it needs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from transformer.cache import CacheState
from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder, EmbeddingConvolution

SHAPE = {"vocab_size": 30, "block": 16, "width": 8, "layers": 1, "heads": 2, "dropout": 0.0}


def test_it_is_torchs_depthwise_convolution_and_the_token_itself():
    torch.manual_seed(0)
    part = EmbeddingConvolution(ModelConfig(**SHAPE, conv_kernel=4))
    with torch.no_grad():
        part.weight.normal_()
    x = torch.randn(2, 10, 8)
    taps = torch.cat((part.weight.flip(0), torch.ones(1, 8))).T[:, None]  # oldest first
    expected = F.conv1d(F.pad(x.transpose(1, 2), (3, 0)), taps, groups=8).transpose(1, 2)
    torch.testing.assert_close(part(x), expected)
    torch.testing.assert_close(part(x[:, 3:], x[:, :3]), expected[:, 3:])


def test_a_new_decoder_is_as_without_one():
    plain, mixed = (
        Decoder(ModelConfig(**SHAPE, conv_kernel=kernel), torch.Generator().manual_seed(3))
        for kernel in (1, 4)
    )
    ids = torch.randint(30, (2, 16))
    assert plain.convolution is None
    assert torch.equal(plain(ids), mixed(ids))


def test_it_learns_and_tells_a_token_of_those_before():
    decoder = Decoder(ModelConfig(**SHAPE, conv_kernel=3))
    decoder(torch.randint(30, (2, 16))).square().mean().backward()
    assert decoder.convolution.weight.grad.abs().sum(1).gt(0).all()


@pytest.mark.parametrize(
    ("ids", "count", "newest"),
    [
        (None, 2, None),
        ([[1, 2, 3]], 0, None),
        ([[1, 2, 3], [4, 5, 6]], 2, [[2, 3], [5, 6]]),
        ([[1]], 3, [[-1, -1, 1]]),
        ([[-1, 1, 2], [3, -1, -1], [4, -1, 5]], 2, [[1, 2], [-1, 3], [4, 5]]),
        ([[-1, -1, -1], [1, 2, 3]], 2, [[-1, -1], [2, 3]]),
    ],
)
def test_the_newest_ids_of_a_row_skip_padding(ids, count, newest):
    found = CacheState(None if ids is None else torch.tensor(ids)).last_ids(count)
    assert newest == (None if found is None else found.tolist())


def test_no_token_at_all_is_refused():
    with pytest.raises(ConfigError, match="conv_kernel 0 is too small: pick 1"):
        ModelConfig(**SHAPE, conv_kernel=0)
