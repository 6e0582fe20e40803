"""The road of CUDA graphs, with a stand-in that records tensor operations and replays them.

Like a CUDA graph it computes nothing anew that Python computed while it recorded, so a position or
a length that was a Python number then would be wrong at the next token.
"""

from __future__ import annotations

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from transformer.cache import Cache
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.fast.cuda_graph import CudaGraphStep, cuda_graph_step, is_supported
from transformer.generate import last_logits

VARIANTS = {
    "rope, grouped": {},
    "multi-head": {"kv_heads": 4},
    "learned": {"position": "learned", "norm": "layer", "feedforward": "gelu", "bias": True},
    "sinusoidal, post": {"position": "sinusoidal", "placement": "post"},
    "convolution": {"conv_kernel": 4},
    "layers that differ": {
        "layer_types": [{"position": "none"}, {"rope_base": 100.0}],
        "embedding_scale": 2.0,
    },
    "no position, untied": {"position": "none", "tied": False, "qk_norm": True},
}


def made(**changes: object) -> Decoder:
    config = {"vocab_size": 50, "block": 160, "width": 32, "layers": 2, "heads": 4, "kv_heads": 2}
    decoder = Decoder(
        ModelConfig.from_dict({**config, **changes}), torch.Generator().manual_seed(2)
    )
    with torch.no_grad():
        for weight in decoder.parameters():  # a convolution begins as nothing
            weight.normal_(std=0.1, generator=torch.Generator().manual_seed(weight.numel()))
    return decoder.eval()


class Recorder:
    """Counts its recordings."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, work):
        self.count += 1
        with torch.no_grad():
            return make_fx(work)()


def read(decoder: Decoder, ids: list[int]) -> Cache:
    cache = decoder.new_cache()
    last_logits(decoder, torch.tensor([ids]), cache)
    return cache


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_token_after_token_it_computes_what_the_general_road_does(changes):
    decoder, record = made(**changes), Recorder()
    fast = CudaGraphStep(decoder, record)
    mine, general = read(decoder, [1, 2, 3]), read(decoder, [1, 2, 3])
    for step in range(140):
        new = (7 * step + 5) % 50
        expected = last_logits(decoder, torch.tensor([[new]]), general)
        torch.testing.assert_close(fast(new, mine), expected, rtol=1e-4, atol=1e-5)
    assert len(mine) == len(general) == 143
    assert torch.equal(mine.state.ids, general.state.ids)
    assert record.count == 3  # rooms of 64, 128 and 160


@pytest.mark.parametrize("kernel", [1, 4])
def test_it_shares_the_cache_with_the_general_road_and_can_go_back(kernel):
    decoder = made(conv_kernel=kernel)
    fast = CudaGraphStep(decoder, Recorder())
    cache = read(decoder, [1, 2, 3])
    fast(4, cache)
    last_logits(decoder, torch.tensor([[5, 6]]), cache)
    fast(7, cache)
    cache.truncate(5)
    found = fast(9, cache)
    expected = last_logits(decoder, torch.tensor([[1, 2, 3, 4, 5, 9]]), decoder.new_cache())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_another_cache_is_recorded_anew_and_the_first_logits_stay():
    decoder, record = made(), Recorder()
    fast = CudaGraphStep(decoder, record)
    first = fast(4, read(decoder, [1, 2]))
    kept = first.clone()
    other = fast(4, read(decoder, [8, 9]))
    assert record.count == 2
    assert torch.equal(first, kept)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kernel", [1, 4])
def test_from_nothing(kernel):
    decoder = made(conv_kernel=kernel)
    found = CudaGraphStep(decoder, Recorder())(3, decoder.new_cache())
    expected = last_logits(decoder, torch.tensor([[3]]), decoder.new_cache())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_only_usual_decoders_on_a_cuda_device_have_it():
    assert cuda_graph_step(made()) is None  # on the CPU
    assert is_supported(made())
    assert not is_supported(made(pattern="local", window=8))
    assert not is_supported(made(layer_types=[{}, {"pattern": "local", "window": 8}]))
    assert not is_supported(made(attention="linear", position="none"))
    assert not is_supported(made(position="relative"))
    watched = made()
    watched.blocks[0].register_forward_hook(lambda *_: None)
    assert not is_supported(watched)
