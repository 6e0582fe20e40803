"""What holds for every decoder that can be configured, whatever it is made of."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transformer.attention import ATTENTIONS
from transformer.block import PLACEMENTS
from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder
from transformer.feedforward import FEEDFORWARDS
from transformer.io import load, save
from transformer.norms import NORMS
from transformer.patterns import PATTERNS
from transformer.positions import POSITIONS

T, V = 10, 40
few = settings(max_examples=40, deadline=None)

configs = st.builds(
    ModelConfig,
    vocab_size=st.just(V),
    block=st.just(T),
    width=st.just(16),
    layers=st.just(2),
    heads=st.just(4),
    kv_heads=st.sampled_from([1, 2, 4]),
    head_size=st.sampled_from([0, 6]),
    hidden=st.just(24),
    dropout=st.just(0.2),
    position=st.sampled_from(sorted(POSITIONS)),
    pattern=st.sampled_from(sorted(PATTERNS)),
    attention=st.sampled_from(sorted(ATTENTIONS)),
    feedforward=st.sampled_from(sorted(FEEDFORWARDS)),
    norm=st.sampled_from(sorted(NORMS)),
    placement=st.sampled_from(sorted(PLACEMENTS)),
    bias=st.booleans(),
    qkv_bias=st.sampled_from([None, True, False]),
    qk_norm=st.booleans(),
    tied=st.booleans(),
    relative_buckets=st.just(4),
    max_relative_distance=st.just(T // 2),
    laboratory=st.just(True),
    padding_id=st.integers(0, V - 1),
)
seeds = st.integers(0, 1000)


def made(config: ModelConfig, seed: int) -> tuple[Decoder, torch.Tensor]:
    """A decoder whose weights are far from small, and two rows of ids for it."""
    generator = torch.Generator().manual_seed(seed)
    decoder = Decoder(config).eval()
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.normal_(std=0.1, generator=generator)
    return decoder, torch.randint(V, (2, T), generator=generator)


@few
@given(configs, seeds, st.integers(1, T - 1))
@torch.no_grad()
def test_changing_a_token_leaves_what_comes_before_alone(config, seed, t):
    decoder, ids = made(config, seed)
    other = ids.clone()
    other[:, t] = (ids[:, t] + 1) % V
    before, after = decoder(ids), decoder(other)
    assert torch.equal(before[:, :t], after[:, :t])
    assert not torch.allclose(before[:, t], after[:, t])


@few
@given(configs, seeds, st.sets(st.integers(1, T - 1)))
@torch.no_grad()
def test_the_cache_changes_nothing(config, seed, cuts):
    """Token by token, in chunks, and after going back."""
    decoder, ids = made(config, seed)
    whole, cache = decoder(ids), decoder.new_cache()
    borders = [0, *sorted(cuts), T]
    for start, end in (*pairwise(borders), *pairwise(range(T + 1))):
        cache.truncate(start)
        part = decoder(ids[:, start:end], cache)
        torch.testing.assert_close(part, whole[:, start:end], atol=1e-5, rtol=1e-5)
        assert len(cache) == end


@few
@given(configs, seeds, st.integers(0, T - 1), st.integers(1, T))
@torch.no_grad()
def test_padding_changes_nothing(config, seed, padding, cut):
    """On either side, in one pass and through the cache."""
    decoder, ids = made(config, seed)
    real = T - padding
    alone = decoder(ids[:1, :real])
    left, right = ids.clone(), ids.clone()
    left[0] = torch.cat((torch.full((padding,), -1), ids[0, :real]))
    right[0, real:] = -1
    cache = decoder.new_cache()
    pieces = [decoder(piece, cache) for piece in left.split(cut, dim=1)]
    for logits in (
        decoder(left)[:1, padding:],
        decoder(right)[:1, :real],
        torch.cat(pieces, 1)[:1, padding:],
    ):
        torch.testing.assert_close(logits, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(decoder(left)[1], decoder(ids)[1], atol=1e-5, rtol=1e-5)
    assert decoder(left).isfinite().all()


@few
@given(configs, seeds)
def test_which_row_padding_is_looked_up_in_does_not_matter(config, seed):
    decoder, ids = made(config, seed)
    ids[:, :3] = -1
    ids[:, 3:] = ids[:, 3:].where(ids[:, 3:] != config.padding_id, (config.padding_id + 1) % V)
    with torch.no_grad():
        before = decoder.hidden(ids)[:, 3:].clone()
        decoder.tokens.weight[config.padding_id] = 100
        assert torch.equal(decoder.hidden(ids)[:, 3:], before)


@few
@given(configs, seeds)
def test_a_gradient_reaches_every_parameter(config, seed):
    decoder, ids = made(config, seed)
    decoder.train()
    decoder(ids).square().mean().backward()
    for name, weight in decoder.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


@few
@given(configs, seeds)
@torch.no_grad()
def test_saving_and_loading_is_identity(config, seed):
    decoder, ids = made(config, seed)
    with tempfile.TemporaryDirectory() as folder:
        save(decoder, Path(folder))
        again = load(Path(folder))
    assert again.config == config
    assert not again.training
    assert torch.equal(again(ids), decoder(ids))


@few
@given(st.integers(1, 20), st.integers(1, 6), st.integers(0, 6), st.sampled_from(sorted(POSITIONS)))
def test_a_config_is_refused_or_can_be_built(width, heads, kv_heads, position):
    try:
        config = ModelConfig(
            vocab_size=5,
            block=3,
            width=width,
            layers=1,
            heads=heads,
            kv_heads=kv_heads,
            position=position,
        )
    except ConfigError:
        return
    assert Decoder(config)(torch.tensor([[0, 4, 2]])).shape == (1, 3, 5)


def test_more_than_a_block_is_refused():
    decoder, ids = made(ModelConfig(vocab_size=V, block=T, width=16, layers=1, heads=4), 0)
    cache = decoder.new_cache()
    decoder(ids, cache)
    with pytest.raises(ValueError, match="11 tokens do not fit block 10"):
        decoder(ids[:, :1], cache)
