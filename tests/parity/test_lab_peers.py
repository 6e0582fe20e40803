"""What transformers' own classes make of logits and of distances, ours make of them too."""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

from transformer.config import ModelConfig
from transformer.generate import Sampling, apply_repetition_penalty, filter_logits
from transformer.positions import POSITIONS, bucket_of_distances

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    transformers = pytest.importorskip("transformers", reason="parity needs transformers")
    from transformers.generation import logits_process as theirs
    from transformers.models.t5.modeling_t5 import T5Attention

pytestmark = pytest.mark.parity
LOGITS = torch.randn(6, 300, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize("temperature", [1.0, 0.7, 1.8])
@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"top_k": 1},
        {"top_k": 40},
        {"top_p": 0.9},
        {"top_p": 0.2},
        {"min_p": 0.05},
        {"min_p": 1.0},
        {"top_k": 50, "top_p": 0.8, "min_p": 0.1},
        {"top_k": 500, "top_p": 0.99, "min_p": 0.01},
    ],
)
def test_the_rules_of_sampling_keep_what_transformers_keeps(temperature, rules):
    warpers = {
        "top_k": theirs.TopKLogitsWarper,
        "top_p": theirs.TopPLogitsWarper,
        "min_p": theirs.MinPLogitsWarper,
    }
    expected = theirs.TemperatureLogitsWarper(temperature)(None, LOGITS)
    for name, value in rules.items():
        expected = warpers[name](value)(None, expected)
    ours = filter_logits(LOGITS, Sampling(temperature=temperature, **rules))
    assert torch.equal(ours.isinf(), expected.isinf())
    torch.testing.assert_close(ours, expected)
    assert rules == {} or expected.isinf().any()


def test_the_repetition_penalty_is_that_of_transformers():
    ids = torch.randint(300, (6, 40), generator=torch.Generator().manual_seed(1))
    seen = torch.zeros(6, 300, dtype=torch.bool).scatter(1, ids, True)
    for penalty in (0.8, 1.2):
        expected = theirs.RepetitionPenaltyLogitsProcessor(penalty)(ids, LOGITS.clone())
        torch.testing.assert_close(apply_repetition_penalty(LOGITS, seen, penalty), expected)


@pytest.mark.parametrize(("buckets", "longest"), [(32, 128), (8, 64), (6, 4), (3, 100), (64, 900)])
def test_buckets_are_those_of_t5(buckets, longest):
    distance = torch.arange(2 * longest)
    expected = T5Attention._relative_position_bucket(
        -distance, bidirectional=False, num_buckets=buckets, max_distance=longest
    )
    ours = bucket_of_distances(buckets, longest)
    assert torch.equal(ours[distance.clamp(max=longest)], expected)


@pytest.mark.parametrize("past", [0, 150])
def test_the_bias_is_that_of_t5(past):
    peer = T5Attention(
        transformers.T5Config(d_model=16, d_kv=4, num_heads=4, is_decoder=True),
        has_relative_attention_bias=True,
        layer_idx=0,
    )
    ours = POSITIONS["relative"](ModelConfig(vocab_size=9, width=16, heads=4))
    ours.table.weight.data = peer.relative_attention_bias.weight.data
    expected = peer.compute_bias(50, 200, past_seen_tokens=past)[0]
    torch.testing.assert_close(ours.bias(torch.arange(50) + past, torch.arange(200)), expected)
