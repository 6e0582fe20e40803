"""Each rule of sampling does what it says, and the same seed chooses the same ids."""

from __future__ import annotations

import math

import pytest
import torch

from transformer.config import ConfigError
from transformer.generate import (
    Sampling,
    apply_repetition_penalty,
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    sample_next,
)

INF = float("-inf")


def shares(*values):
    return torch.tensor(values).log()


def drawn(logits, sampling, n=2000, **how):
    """How often each id is chosen."""
    many = logits.expand(n, -1)
    return sample_next(many, sampling, torch.Generator().manual_seed(0), **how).bincount(
        minlength=logits.numel()
    )


def test_the_defaults_draw_from_the_models_own_distribution():
    counts = drawn(shares(0.5, 0.3, 0.2), Sampling(), n=20_000) / 20_000
    torch.testing.assert_close(counts, torch.tensor([0.5, 0.3, 0.2]), atol=0.02, rtol=0)


def test_temperature_sharpens_and_zero_takes_the_likeliest():
    logits = shares(0.5, 0.3, 0.2)
    assert drawn(logits, Sampling(temperature=0.5))[0] > drawn(logits, Sampling())[0] + 100
    assert drawn(logits, Sampling(temperature=0)).tolist() == [2000, 0, 0]
    cold = sample_next(torch.tensor([[1.0, 2.0], [2.0, 1.0]]), Sampling(temperature=0))
    assert cold.tolist() == [1, 0]


def test_top_k_keeps_k_and_more_than_there_are_keeps_all():
    logits = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
    assert keep_top_k(logits, 2).tolist() == [[INF, 4, 3, INF]]
    assert torch.equal(keep_top_k(logits, 9), logits)
    assert (drawn(logits[0], Sampling(top_k=2)) > 0).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("p", "kept"), [(0.1, [1]), (0.45, [1]), (0.55, [1, 3]), (0.75, [1, 3, 0]), (1.0, [1, 3, 0, 2])]
)
def test_top_p_keeps_the_fewest_that_hold_p(p, kept):
    result = keep_top_p(shares(0.2, 0.5, 0.1, 0.2 + 1e-3), p)
    assert {i for i, logit in enumerate(result) if logit > INF} == set(kept)


@pytest.mark.parametrize("flatness", [0.01, 1.0, 5.0])
@pytest.mark.parametrize("shape", [(700,), (5, 3000), (2, 2, 5000)])
def test_top_p_orders_no_more_than_it_must_and_keeps_the_same(flatness, shape):
    logits = flatness * torch.randn(shape, generator=torch.Generator().manual_seed(1)).double()
    ordered, order = logits.sort(descending=True)
    held = ordered.softmax(-1).cumsum(-1)
    counts = (held < 0.9).sum(-1, keepdim=True) + 1
    kept = torch.arange(shape[-1]).expand(shape) < counts
    expected = torch.zeros(shape, dtype=torch.bool).scatter(-1, order, kept)
    assert torch.equal(keep_top_p(logits, 0.9) > INF, expected)


def test_what_has_no_share_is_never_drawn():
    some = torch.tensor([0.0, 0.3, 0.0, 0.7, 0.0]).expand(2, 5000, 5)
    found = draw(some, torch.Generator().manual_seed(0))
    assert found.shape == (2, 5000)
    counts = found.flatten().bincount(minlength=5)
    assert counts[[0, 2, 4]].sum() == 0
    assert abs(counts[1] / 10_000 - 0.3) < 0.02


def test_top_p_keeps_what_it_keeps_at_its_place():
    logits = torch.randn(3, 50)
    kept = keep_top_p(logits, 0.6)
    assert torch.equal(kept[kept > INF], logits[kept > INF])
    assert (kept == INF).any(dim=1).all()


@pytest.mark.parametrize(
    ("p", "kept"), [(0.1, [0, 1, 2]), (0.19, [0, 1, 2]), (0.21, [0, 2]), (0.61, [2]), (1.0, [2])]
)
def test_min_p_keeps_what_is_at_least_a_share_of_the_likeliest(p, kept):
    logits = torch.stack((shares(0.3, 0.1, 0.5), shares(0.3, 0.1, 0.5) + 7))
    for row in keep_min_p(logits, p):
        assert [i for i, logit in enumerate(row) if logit > INF] == kept
    counts = drawn(logits[0], Sampling(min_p=p))
    assert [i for i, count in enumerate(counts) if count] == kept


def test_min_p_goes_by_what_the_temperature_made_of_it():
    logits = shares(0.2, 0.8)
    assert drawn(logits, Sampling(min_p=0.3))[0] == 0
    assert drawn(logits, Sampling(min_p=0.3, temperature=2))[0] > 0


def test_each_row_can_have_seen_its_own_ids():
    seen = torch.tensor([[True, False], [False, True]])
    strict = Sampling(temperature=0, repetition_penalty=2)
    assert sample_next(torch.ones(2, 2), strict, seen=seen).tolist() == [1, 0]


def test_the_penalty_lowers_what_was_seen_whatever_its_sign():
    logits = torch.tensor([2.0, -2.0, 2.0, -2.0])
    seen = torch.tensor([True, True, False, False])
    assert apply_repetition_penalty(logits, seen, 2.0).tolist() == [1, -4, 2, -2]
    chosen = sample_next(
        torch.tensor([[2.0, 1.9]]),
        Sampling(temperature=0, repetition_penalty=1.5),
        seen=torch.tensor([True, False]),
    )
    assert chosen.tolist() == [1]


def test_what_is_forbidden_is_never_chosen():
    forbidden = torch.tensor([True, False, False])
    logits = shares(0.98, 0.01, 0.01)
    assert drawn(logits, Sampling(), forbidden=forbidden)[0] == 0
    assert sample_next(logits, Sampling(temperature=0), forbidden=forbidden) == 1


def test_all_rules_together_work_on_any_shape_and_in_bfloat16():
    sampling = Sampling(temperature=0.8, top_k=5, top_p=0.9, min_p=0.1, repetition_penalty=1.2)
    seen = torch.zeros(20, dtype=torch.bool)
    for shape in ((20,), (3, 20), (2, 3, 20)):
        chosen = sample_next(torch.randn(shape).bfloat16(), sampling, seen=seen)
        assert chosen.shape == shape[:-1]


def test_a_seed_chooses_the_same_ids():
    logits = torch.randn(50, 30)

    def chosen(seed):
        return sample_next(logits, Sampling(), torch.Generator().manual_seed(seed))

    assert torch.equal(chosen(3), chosen(3))
    assert not torch.equal(chosen(3), chosen(4))


@pytest.mark.parametrize(
    "setting",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"min_p": 1.1},
        {"repetition_penalty": 0.0},
    ],
)
def test_impossible_settings_are_refused(setting):
    (name,) = setting
    with pytest.raises(ConfigError, match=f"{name} .* pick "):
        Sampling(**setting)
