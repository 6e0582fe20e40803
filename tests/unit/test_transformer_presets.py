"""Presets are rows that say their difference, and have the sizes that were published."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder
from transformer.presets import PRESETS, preset, settings_of

PARAMETERS = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "gpt2-lecture": 163_009_536,
    # The course's own has a bias in the head as well, 1,029 numbers.
    "course-1": 13_790_213 - 1029,
    "smollm2-135m": 134_515_008,
    "llama3-8b": 8_030_261_248,
}
EVOLUTION = [f"evolution-{n}" for n in range(5)]


def made(name: str) -> ModelConfig:
    return preset(name, **{"vocab_size": 300} | settings_of(name))


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_sizes_are_those_that_were_published(name, parameters):
    with torch.device("meta"):
        decoder = Decoder(preset(name))
    assert sum(weight.numel() for weight in decoder.parameters()) == parameters


@pytest.mark.parametrize("name", PRESETS)
def test_a_row_can_be_made_and_says_only_its_difference(name):
    settings = made(name).to_dict()
    own = {key: value for key, value in PRESETS[name].items() if key != "like"}
    assert {key: settings[key] for key in own} == own
    like = PRESETS[name].get("like")
    before = {"vocab_size": 300} | ({} if like is None else settings_of(like))
    for key in own:
        rest = {name: value for name, value in own.items() if name != key}
        assert not same(before | rest, settings), f"{key} says nothing"


def same(values: dict, settings: dict) -> bool:
    """Whether `values` make these settings."""
    try:
        return ModelConfig.from_dict(values).to_dict() == settings
    except ConfigError:
        return False


@pytest.mark.parametrize("name", EVOLUTION[1:])
def test_each_step_of_the_evolution_changes_one_thing(name):
    (_,) = PRESETS[name].keys() - {"like"}
    assert PRESETS[name]["like"] == EVOLUTION[EVOLUTION.index(name) - 1]


def test_the_page_tells_every_name_and_size():
    page = (Path(__file__).resolve().parents[2] / "docs" / "presets.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in PRESETS if name not in EVOLUTION[1:-1])
    for name, parameters in PARAMETERS.items():
        (line,) = (line for line in page.splitlines() if line.startswith(f"| `{name}` "))
        assert f"| {parameters:,} | {parameters * 4 / 2**20:,.2f} |" in line


def test_what_is_named_wins_over_the_row():
    assert preset("tiny", vocab_size=300, layers=7).layers == 7
    assert preset("gpt2", vocab_size=300).vocab_size == 300


def test_an_unknown_name_is_refused_with_near_ones():
    with pytest.raises(ConfigError, match="pick one of tiny, slim, small, base"):
        preset("zzz", vocab_size=300)
    with pytest.raises(ConfigError, match="'gpt2-larg' is unknown: did you mean gpt2-large or"):
        preset("gpt2-larg")
    with pytest.raises(ConfigError, match="vocab_size is missing"):
        preset("tiny")
