"""What holds for every decoder that can be configured, whatever it is made of."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests_support import SIZES

from transformer import attention_plan, patterns, softmax
from transformer.block import FEEDFORWARDS, MIXERS, PLACEMENTS
from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder
from transformer.hyperparameters import LayerType
from transformer.io import load, save
from transformer.layers import NORMS
from transformer.patterns import PATTERNS
from transformer.positions import POSITIONS
from transformer.softmax import BlockSparseAttention

T, V = 12, 40
few = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 1000)

SHAPE = {
    "vocab_size": V,
    "width": 16,
    "layers": 2,
    "heads": 4,
    "hidden": 24,
    "dropout": 0.2,
    "relative_buckets": 4,
    "max_relative_distance": T // 2,
    "laboratory": True,
}


def legal(attention: str, pattern: str, position: str) -> bool:
    """Whether these three go together; what the rules say, in other words."""
    if attention == "short_conv":
        return pattern == "full" and position not in ("rope", "relative")
    return attention != "linear" or (pattern == "full" and position != "relative")


GRID = [row for row in product(sorted(MIXERS), PATTERNS, sorted(POSITIONS)) if legal(*row)]


def config_of(attention: str, pattern: str, position: str, **others: Any) -> ModelConfig:
    row = {"attention": attention, "pattern": pattern, "position": position}
    return ModelConfig(**{"block": T, **SHAPE, **SIZES[pattern], **row, **others})


@st.composite
def _configs(draw: st.DrawFn) -> ModelConfig:
    """Any legal choice of everything."""
    row = draw(st.sampled_from(GRID))
    table = {"feedforward": FEEDFORWARDS, "norm": NORMS, "placement": PLACEMENTS}
    others: dict[str, Any] = {name: draw(st.sampled_from(sorted(t))) for name, t in table.items()}
    if row[0] != "latent":
        others |= {"kv_heads": draw(st.sampled_from([1, 2, 4])), "qk_norm": draw(st.booleans())}
    others |= {"bias": draw(st.booleans()), "tied": draw(st.booleans())}
    others["qkv_bias"] = draw(st.sampled_from([None, True, False]))
    others["conv_kernel"] = draw(st.sampled_from([1, 2, 4]))
    others["head_size"] = draw(st.sampled_from([0, 6]))
    others["padding_id"] = draw(st.integers(0, V - 1))
    others["embedding_scale"] = draw(st.sampled_from([1.0, 2.0]))
    config = config_of(*row, **others)
    if draw(st.booleans()):
        return config
    try:
        return replace(config, layers=3, layer_types=draw(st.lists(layer_types, max_size=3)))
    except ConfigError:  # what does not go together is refused: test_transformer_config.py
        assume(False)
        raise


layer_types = st.sampled_from(
    [
        LayerType(),
        LayerType(pattern="local", window=3),
        LayerType(pattern="local", window=5, rope_base=50.0),
        LayerType(pattern="full"),
        LayerType(pattern="full", position="rope", rope_base=100.0),
        LayerType(position="none"),
        LayerType(attention="grouped"),
        LayerType(attention="linear", position="none"),
        LayerType(attention="latent"),
        LayerType(attention="short_conv"),
    ]
)

# Mixtures as published models have them, and one of everything.
MIXTURES = {
    "Gemma 3": {
        "layer_types": (LayerType(pattern="local", window=3, rope_base=100.0), LayerType()),
        "placement": "sandwich",
        "norm": "rms_centered",
        "feedforward": "geglu_tanh",
        "qk_norm": True,
        "embedding_scale": 4.0,
        "attention_scale": 0.3,
    },
    "SmolLM3": {"layer_types": (LayerType(), LayerType(position="none"))},
    "LFM2": {"layer_types": (LayerType(attention="short_conv"), LayerType())},
    "linear between": {"layer_types": (LayerType(attention="linear"), LayerType())},
    "everything": {
        "layers": 5,
        "position": "relative",
        "layer_types": (
            LayerType(attention="latent", position="rope"),
            LayerType(pattern="bigbird", window=3),
            LayerType(attention="short_conv", mixer_kernel=2),
            LayerType(attention="linear", position="none"),
            LayerType(),
        ),
    },
}


configs = _configs()


def made(config: ModelConfig, seed: int, length: int = T) -> tuple[Decoder, torch.Tensor]:
    """A decoder whose weights are far from small, and two rows of ids for it."""
    generator = torch.Generator().manual_seed(seed)
    decoder = Decoder(config).eval()
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.normal_(std=0.2, generator=generator)
    return decoder, torch.randint(V, (2, length), generator=generator)


def agree(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def causal(config: ModelConfig, seed: int, t: int) -> None:
    decoder, ids = made(config, seed)
    other = ids.clone()
    other[:, t] = (ids[:, t] + 1) % V
    before, after = decoder(ids), decoder(other)
    assert torch.equal(before[:, :t], after[:, :t])
    assert not torch.allclose(before[:, t], after[:, t])


@torch.no_grad()
def cached(config: ModelConfig, seed: int, cuts: set[int]) -> None:
    """Token by token, in chunks, and after going back."""
    decoder, ids = made(config, seed)
    whole, cache = decoder(ids), decoder.new_cache()
    borders = [0, *sorted(cuts), T]
    for start, end in (*pairwise(borders), *pairwise(range(T + 1)), *pairwise(borders)):
        start = cache.truncate(start)
        agree(decoder(ids[:, start:end], cache), whole[:, start:end])
        assert len(cache) == end


@torch.no_grad()
def padded(config: ModelConfig, seed: int, holes: list[set[int]], cut: int) -> None:
    """Anywhere in a row, in one pass and through the cache."""
    decoder, ids = made(config, seed)
    for row, where in zip(ids, holes, strict=True):
        row[list(where)] = -1
    cache = decoder.new_cache()
    pieces = [decoder(piece, cache) for piece in ids.split(cut, dim=1)]
    for logits in (decoder(ids), torch.cat(pieces, dim=1)):
        assert logits.isfinite().all()
        for row, found in zip(ids, logits, strict=True):
            agree(found[row >= 0], decoder(row[row >= 0][None])[0])


@few
@given(configs, seeds, st.integers(1, T - 1))
def test_changing_a_token_leaves_what_comes_before_alone(config, seed, t):
    causal(config, seed, t)


@few
@given(configs, seeds, st.sets(st.integers(1, T - 1)))
def test_the_cache_changes_nothing(config, seed, cuts):
    cached(config, seed, cuts)


holes = st.sets(st.integers(0, T - 1), max_size=T - 1)
left = st.integers(0, T - 1).map(lambda n: set(range(n)))


@few
@given(configs, seeds, st.lists(left | holes, min_size=2, max_size=2), st.integers(1, T))
def test_padding_changes_nothing(config, seed, holes, cut):
    padded(config, seed, holes, cut)


@few
@given(configs, seeds, st.lists(left | holes, min_size=2, max_size=2), st.sets(st.integers(0, 23)))
def test_the_wanted_tokens_come_out_as_among_all(config, seed, holes, chosen):
    decoder, ids = made(config, seed)
    for row, empty in zip(ids, holes, strict=True):
        row[sorted(empty)] = -1
    selected = torch.zeros_like(ids, dtype=torch.bool)
    selected.view(-1)[sorted(chosen)] = True
    selected &= ids >= 0
    for recompute, training in ((False, False), (True, config.norm != "batch")):
        decoder.recompute = recompute
        decoder.train(training)
        decoder.dropout.p = 0.0
        for block in decoder.blocks:
            block.dropout.p = 0.0
        agree(decoder.hidden(ids, select=selected), decoder.hidden(ids)[selected])


@pytest.mark.parametrize("row", GRID, ids="-".join)
def test_the_three_laws_hold_for_every_row_of_the_grid(row):
    config = config_of(*row)
    causal(config, 1, 5)
    cached(config, 2, {1, 5, 6})
    padded(config, 3, [{0, 1, 2}, {4}], 3)


@pytest.mark.parametrize("name", MIXTURES)
def test_the_three_laws_hold_where_layers_differ(name):
    config = ModelConfig(**{"block": T, **SHAPE, **MIXTURES[name]})
    causal(config, 1, 5)
    cached(config, 2, {1, 5, 6})
    padded(config, 3, [{0, 1, 2}, {4}], 3)


def test_impossible_rows_are_refused():
    for row in set(product(MIXERS, PATTERNS, POSITIONS)) - set(GRID):
        with pytest.raises(ConfigError, match=r"pick (pattern full|position (rope|none))"):
            config_of(*row)


@pytest.mark.parametrize("pattern", [name for name in PATTERNS if name != "full"])
@pytest.mark.parametrize("position", ["rope", "relative"])
@pytest.mark.parametrize("attention", ["grouped", "latent"])
def test_leaving_out_what_nobody_sees_changes_nothing(attention, position, pattern, monkeypatch):
    """The result and its gradients, in one pass and in long pieces through the cache."""
    length = 120
    config = config_of(attention, pattern, position, block=length)
    decoder, ids = made(config, 0, length)
    used = []
    of = BlockSparseAttention.of
    monkeypatch.setattr(BlockSparseAttention, "of", lambda *args: used.append(args) or of(*args))

    def run() -> tuple[torch.Tensor, list[torch.Tensor]]:
        decoder.zero_grad()
        logits = decoder(ids)
        logits.square().mean().backward()
        return logits.detach(), [w.grad.clone() for w in decoder.parameters()]

    whole, gradients = run()
    assert not used
    monkeypatch.setattr(attention_plan, "DENSE_SCORES", 0)
    monkeypatch.setattr(patterns, "COPY_COST", 0)
    monkeypatch.setattr(softmax, "COPY_NUMBERS", 1 << 12)  # only some blocks at a time
    logits, others = run()
    assert used
    agree(logits, whole)
    for ours, theirs in zip(others, gradients, strict=True):
        agree(ours, theirs)
    used.clear()
    with torch.no_grad():
        for cuts in ((3, 119), (20, 21)):
            cache = decoder.new_cache()
            parts = [decoder(part, cache) for part in ids.tensor_split(cuts, dim=1)]
            agree(torch.cat(parts, dim=1), whole)
    assert len(used) >= 2


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
    with pytest.raises(ValueError, match=f"{T + 1} tokens do not fit block {T}"):
        decoder(ids[:, :1], cache)
