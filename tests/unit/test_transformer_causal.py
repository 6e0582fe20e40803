"""Our causal attention in bfloat16 gives what PyTorch's gives in float32, gradients too."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.softmax import CHUNK, causal_attention, uses_bfloat16_chunks


def close(ours: torch.Tensor, exact: torch.Tensor) -> None:
    exact = exact.detach()
    assert float((ours.detach().float() - exact).norm() / exact.norm()) < 0.01


@pytest.mark.parametrize("length", [2, 5, CHUNK, CHUNK + 1, 3 * CHUNK - 7])
@pytest.mark.parametrize("kv_heads", [6, 2, 1])
def test_values_and_gradients_are_those_of_exact_attention(length, kv_heads):
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, heads, length, 16) for heads in (6, kv_heads, kv_heads)]
    exact = [torch.randn(shape, generator=generator).bfloat16().float() for shape in shapes]
    short = [part.bfloat16() for part in exact]
    for part in (*exact, *short):
        part.requires_grad_()
    wanted = F.scaled_dot_product_attention(*exact, is_causal=True, enable_gqa=True)
    found = causal_attention(*short)
    close(found, wanted)
    given = torch.randn(wanted.shape, generator=generator)
    ours = torch.autograd.grad(found, short, given.bfloat16())
    theirs = torch.autograd.grad(wanted, exact, given)
    for one, other in zip(ours, theirs, strict=True):
        close(one, other)


def test_a_decoder_in_training_takes_it_and_learns_the_same(monkeypatch):
    config = ModelConfig(
        vocab_size=40, block=32, width=32, layers=2, heads=4, kv_heads=2, dropout=0.0
    )
    decoder = Decoder(config, torch.Generator().manual_seed(0)).train()
    ids = torch.randint(0, 40, (3, 20), generator=torch.Generator().manual_seed(1))
    found = []
    for taken in (True, False):
        monkeypatch.setattr(
            "transformer.softmax.uses_bfloat16_chunks", lambda q, k, taken=taken: taken
        )
        decoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            decoder(ids).float().square().mean().backward()
        found.append(torch.cat([p.grad.flatten() for p in decoder.parameters()]))
    assert float((found[0] - found[1]).norm() / found[1].norm()) < 0.03


@pytest.mark.parametrize("able", [True, False])
def test_it_is_for_bfloat16_where_the_processor_has_it(monkeypatch, able):
    monkeypatch.setattr("transformer.softmax.has_bfloat16_matmul", lambda: able)
    q = torch.zeros(1, 2, 4, 8, dtype=torch.bfloat16)
    assert uses_bfloat16_chunks(q, q) == able
    assert not uses_bfloat16_chunks(q.float(), q.float())
    assert not uses_bfloat16_chunks(q[:, :, :1], q)
