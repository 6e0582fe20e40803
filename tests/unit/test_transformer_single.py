"""The fast road for one token gives what the general one gives, and both share a cache."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from pipeline.training.adapters import lora
from pipeline.training.auto import Tuning
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.fast.kernels import SERIAL
from transformer.fast.single import CompiledStep, compiled_step
from transformer.generate import Sampling, generate
from transformer.hyperparameters import LayerType

LENGTH = 150  # more than the first room of a cache
SHAPE = {"vocab_size": 50, "block": LENGTH, "width": 32, "layers": 2, "heads": 4}
VARIANTS = [
    {},
    {"kv_heads": 1, "qk_norm": True, "qkv_bias": True, "tied": False},
    {"position": "learned", "norm": "layer", "bias": True, "feedforward": "gelu_tanh"},
    {"position": "sinusoidal", "feedforward": "relu", "head_size": 12, "bias": True},
    {"position": "none", "feedforward": "gelu", "norm": "layer"},
    {"feedforward": "leaky_relu", "rope_factor": 8.0, "rope_original": 16},
    {"feedforward": "silu", "kv_heads": 4},
    {"conv_kernel": 4},
    {"layers": 3, "layer_types": (LayerType(), LayerType(position="none"))},
    {
        "layers": 3,
        "layer_types": (LayerType(pattern="local", window=20, rope_base=100.0), LayerType()),
        "placement": "sandwich",
        "norm": "rms_centered",
        "feedforward": "geglu_tanh",
        "qk_norm": True,
        "embedding_scale": 2.0,
        "attention_scale": 0.2,
    },
]


def made(**changes) -> Decoder:
    decoder = Decoder(ModelConfig(**{**SHAPE, **changes})).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.normal_(std=0.2, generator=generator)
    return decoder


def steps(decoder: Decoder, ids: torch.Tensor) -> torch.Tensor:
    """Logits (T, V): a chunk, then token by token, with the reference path now and then."""
    fast, cache = compiled_step(decoder), decoder.new_cache()
    assert fast is not None
    found = [decoder(ids[:, :5], cache)[0]]
    for at in range(5, ids.size(1)):
        one = ids[:, at : at + 1]
        found.append(decoder(one, cache)[0] if at % 40 == 0 else fast(int(one), cache))
        assert len(cache) == at + 1
    return torch.cat(found)


@pytest.mark.parametrize("changes", VARIANTS)
@torch.no_grad()
def test_both_roads_give_the_same(changes):
    decoder = made(**changes)
    ids = torch.randint(50, (1, LENGTH), generator=torch.Generator().manual_seed(1))
    whole = decoder(ids)[0]
    torch.testing.assert_close(steps(decoder, ids), whole, atol=1e-5, rtol=1e-5)
    # bfloat16 weights: closer to the exact logits than the reference path, which rounds in between.
    rounded = decoder.bfloat16()
    exact = made(**changes)
    exact.load_state_dict({name: w.float() for name, w in rounded.state_dict().items()})
    fast = (steps(rounded, ids).float() - exact(ids)[0]).square().mean()
    general = (rounded(ids)[0].float() - exact(ids)[0]).square().mean()
    assert fast < general < 1e-3


@torch.no_grad()
def test_going_back_and_padding_before_the_prompt_change_nothing():
    decoder = made()
    fast, cache = compiled_step(decoder), decoder.new_cache()
    assert fast is not None
    ids = torch.arange(20)[None]
    decoder(torch.cat((torch.full((1, 3), -1), ids[:, :10]), dim=1), cache)
    for other in (41, 42, 43):
        fast(other, cache)
    cache.truncate(13)
    logits = [fast(new, cache) for new in range(10, 20)]
    torch.testing.assert_close(torch.cat(logits), decoder(ids)[0, 10:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"placement": "post"},
        {"pattern": "local", "window": 8},
        {"attention": "latent"},
        {"attention": "linear"},
        {"layer_types": (LayerType(attention="short_conv"), LayerType())},
        {"layer_types": (LayerType(pattern="chunked", window=8), LayerType())},
        {"position": "relative"},
        {"norm": "batch", "laboratory": True},
    ],
)
def test_what_is_not_usual_takes_the_general_road(changes):
    assert compiled_step(made(**changes)) is None


def test_an_adapted_decoder_takes_the_general_road_until_it_is_merged():
    model = lora.adapted(made(), Tuning())
    assert compiled_step(model.base_model.model) is None
    assert compiled_step(model.merge_and_unload()) is not None


def test_generating_takes_the_fast_road(monkeypatch):
    decoder, taken = made(), []
    greedy = Sampling(temperature=0)
    step = CompiledStep.__call__
    monkeypatch.setattr(
        CompiledStep, "__call__", lambda *given: taken.append(given[1]) or step(*given)
    )
    fast = list(generate(decoder, [1, 2, 3], 40, greedy))
    assert taken == fast[:-1]
    monkeypatch.setattr("transformer.fast.single.compiled_step", lambda decoder: None)
    assert list(generate(decoder, [1, 2, 3], 40, greedy)) == fast
    assert len(taken) == 39


def test_what_is_watched_takes_the_general_road():
    decoder = made()
    handle = decoder.blocks[0].register_forward_hook(lambda *given: None)
    assert compiled_step(decoder) is None
    handle.remove()
    assert compiled_step(decoder) is not None


@torch.no_grad()
def test_matrices_that_are_worth_all_cores_give_the_same():
    config = ModelConfig(vocab_size=50, block=400, width=384, layers=1, heads=8)
    assert config.width * config.hidden > SERIAL
    decoder = Decoder(config, torch.Generator().manual_seed(0)).eval()
    ids = torch.randint(50, (1, 400), generator=torch.Generator().manual_seed(1))
    fast, cache = compiled_step(decoder), decoder.new_cache()
    assert fast is not None
    decoder(ids[:, :390], cache)
    assert config.width * 390 > SERIAL
    logits = torch.cat([fast(new, cache) for new in ids[0, 390:].tolist()])
    torch.testing.assert_close(logits, decoder(ids)[0, 390:], atol=1e-5, rtol=1e-5)


def test_the_number_of_threads_stays_what_it_was():
    """In a process of its own: numba sets OpenMP's number when its first threads begin."""
    program = """if True:
        import torch
        from transformer import ModelConfig
        from transformer.decoder import Decoder
        from transformer.fast.single import compiled_step
        torch.set_num_threads(1)
        shape = {"vocab_size": 50, "block": 8, "width": 32, "layers": 1, "heads": 4}
        fast = compiled_step(Decoder(ModelConfig(**shape)).eval())
        cache = fast.decoder.new_cache()
        with torch.no_grad():
            fast.decoder(torch.tensor([[1, 2]]), cache)
        fast(3, cache)
        print(torch.get_num_threads())
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "1", done.stderr
