"""Compiled blocks: the same gradients, for training alone, and never in the way."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.training import compiled
from pipeline.training.adapters import lora
from pipeline.training.auto import Tuning
from pipeline.training.loss import summed
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.generate import Sampling, generate

V, B, T = 30, 2, 8
OTHER = {"position": "learned", "norm": "layer", "feedforward": "gelu", "dropout": 0.3}


def made(**changes: Any) -> Decoder:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"vocab_size": V, "width": 16, "layers": 2, "heads": 4, "dropout": 0.0}
    return Decoder(ModelConfig(**{**shape, **changes}))


def batch(rows: int = B, tokens: int = T) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(1)
    x, y = torch.randint(0, V, (2, rows, tokens), generator=drawn)
    return x, y


def gradients(model: Any, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    model.train()
    torch.manual_seed(2)
    summed(model, x, y)[0].backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def step_of(model: Any) -> Callable[[], None]:
    def step() -> None:
        gradients(model, *batch())

    return step


@pytest.fixture
def compiler() -> None:
    why = compiled.obstacle(made())
    if why is not None:
        pytest.skip(why)


@pytest.mark.usefixtures("compiler")
@pytest.mark.filterwarnings("default")  # what torch warns of while it compiles is not ours
@pytest.mark.parametrize("changes", [{}, OTHER], ids=["usual", "other"])
def test_compiled_training_takes_the_same_steps_and_leaves_all_else_alone(changes: Any) -> None:
    plain, model = made(**changes), made(**changes)
    names = list(model.state_dict())
    trial = compiled.tried(model, B, T, step_of(model))
    assert trial is not None
    assert min(trial.plain, trial.compiled) > 0
    assert compiled.is_on(model)
    assert list(model.state_dict()) == names
    if not model.config.dropout:  # whose pattern is another one
        torch.testing.assert_close(gradients(model, *batch()), gradients(plain, *batch()))
    torch.testing.assert_close(gradients(model, *batch()), gradients(model, *batch()))
    x, _ = batch()
    for decoder in (plain, model):
        decoder.eval()
    assert torch.equal(model(x), plain(x))
    greedy = Sampling(temperature=0)
    assert list(generate(model, [1, 2], 4, greedy)) == list(generate(plain, [1, 2], 4, greedy))
    assert not compiled.is_on(copy.deepcopy(model))
    compiled.turn_off(model)
    assert not compiled.is_on(model)
    assert_equal(gradients(model, *batch()), gradients(plain, *batch()))


@pytest.mark.usefixtures("compiler")
@pytest.mark.filterwarnings("default")
def test_blocks_are_compiled_once_and_for_one_shape_without_padding() -> None:
    plain, model = made(), made()
    compiled.turn_on(model, B, T, step_of(model))
    road: Any = model.blocks[0]._compiled_call_impl
    calls = []
    run = road.shared.run
    road.shared.run = lambda *given: calls.append(1) or run(*given)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    gradients(model, *batch())
    assert len(calls) == model.config.layers
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before
    x, y = batch()
    x[0, 5:], y[0, 5:] = -1, -1
    for other in (batch(B + 1), batch(B, T - 1), (x, y)):
        assert_equal(gradients(model, *other), gradients(plain, *other))
    assert len(calls) == model.config.layers


@pytest.mark.usefixtures("compiler")
@pytest.mark.filterwarnings("default")
def test_recomputed_blocks_can_be_compiled_too() -> None:
    plain, model = made(), made()
    model.recompute = True
    compiled.turn_on(model, B, T, step_of(model))
    assert compiled.is_on(model)
    torch.testing.assert_close(gradients(model, *batch()), gradients(plain, *batch()))
    assert compiled.is_on(model)


def test_adapted_blocks_are_refused() -> None:
    pytest.importorskip("peft")
    decoder = lora.adapted(made(), Tuning()).get_base_model()
    assert "adapters" in str(compiled.obstacle(decoder))
    assert not compiled.turn_on(decoder, B, T, step_of(decoder))
    assert not compiled.is_on(decoder)


def test_it_pays_when_steps_become_shorter_by_more_than_chance() -> None:
    found = [compiled.Trial(plain=1.0, compiled=seconds).pays for seconds in (0.9, 0.99, 1.1)]
    assert found == [True, False, False]


def broken(*_: Any, **__: Any) -> Any:
    def run(*_: Any) -> Any:
        raise torch._dynamo.exc.TorchDynamoException("the linker is gone\nand much more")

    return run


def test_a_compilation_that_fails_is_one_line_and_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(compiled, "obstacle", lambda _: None)
    model = made()
    with caplog.at_level(logging.INFO):
        assert not compiled.turn_on(model, B, T, step_of(model))
    assert [r.getMessage() for r in caplog.records] == [
        "not compiled, training goes on without: TorchDynamoException: the linker is gone"
    ]
    assert not compiled.is_on(model)
    assert_equal(gradients(model, *batch()), gradients(made(), *batch()))


def test_memory_that_runs_out_while_compiling_leaves_it_plain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: full)
    monkeypatch.setattr(compiled, "obstacle", lambda _: None)
    model = made()
    assert not compiled.turn_on(model, B, T, step_of(model))
    assert not compiled.is_on(model)


def test_what_stands_in_the_way_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert "statistics" in str(compiled.obstacle(made(norm="batch", laboratory=True)))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(compiled.shutil, "which", lambda _: None)
    model = made()
    with caplog.at_level(logging.INFO):
        assert compiled.tried(model, B, T, step_of(model)) is None
    assert [r.getMessage() for r in caplog.records] == [
        "not compiled: no C++ compiler was found (g++, clang++ or cl)"
    ]


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
