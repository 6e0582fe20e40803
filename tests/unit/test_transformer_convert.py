"""Heads pooled into fewer keep what they agree on."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from transformer.config import ConfigError, ModelConfig
from transformer.convert import to_grouped, with_block, with_vocabulary
from transformer.decoder import Decoder

TINY = {"vocab_size": 50, "block": 32, "width": 32, "layers": 2, "heads": 8, "dropout": 0.0}
IDS = torch.randint(50, (2, 16), generator=torch.Generator().manual_seed(0))


def tiny(**changes):
    torch.manual_seed(0)
    decoder = Decoder(ModelConfig(**{**TINY, "kv_heads": 8, **changes})).eval()
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.normal_(std=0.3)
    return decoder


def copy_heads(decoder, groups):
    """Make the heads of keys, and those of values, equal within each of `groups`."""
    with torch.no_grad():
        for name, weight in decoder.named_parameters():
            if ".qkv." in name:
                kv = weight[32:].view(2, groups, 8 // groups, 4, -1)
                kv.copy_(kv[:, :, :1].clone().expand_as(kv))


@pytest.mark.parametrize("kv_heads", [1, 2, 4, 8])
@pytest.mark.parametrize("settings", [{}, {"bias": True}, {"qk_norm": True, "tied": False}])
@torch.no_grad()
def test_pooling_equal_heads_changes_no_logit(kv_heads, settings):
    decoder = tiny(**settings)
    copy_heads(decoder, kv_heads)
    grouped = to_grouped(decoder, kv_heads)
    assert grouped.config == ModelConfig(**{**TINY, **settings, "kv_heads": kv_heads})
    assert grouped.blocks[0].attention.qkv.weight.shape == (32 + 2 * kv_heads * 4, 32)
    torch.testing.assert_close(grouped(IDS), decoder(IDS), atol=1e-5, rtol=1e-5)


def test_each_new_head_is_the_mean_of_its_group():
    decoder = tiny()
    for pooled in (to_grouped(decoder, 2), to_grouped(to_grouped(decoder, 4), 2)):
        old, new = (d.blocks[1].attention.qkv.weight for d in (decoder, pooled))
        assert torch.equal(new[:32], old[:32])
        torch.testing.assert_close(new[32:36], old[32:48].view(4, 4, 32).mean(0))  # keys, head 0
        torch.testing.assert_close(new[44:48], old[80:96].view(4, 4, 32).mean(0))  # values, head 1


def test_the_copy_is_its_own_and_trains():
    decoder = tiny().to(torch.float64).train()
    before = decoder(IDS)
    grouped = to_grouped(decoder, 2)
    assert grouped.training
    assert grouped.tokens.weight.dtype == torch.float64
    optimizer = torch.optim.AdamW(grouped.parameters(), lr=0.02)
    losses = []
    for _ in range(20):
        loss = F.cross_entropy(grouped(IDS[:, :-1]).flatten(0, 1), IDS[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert torch.equal(decoder(IDS), before)


@pytest.mark.parametrize("kv_heads", [0, 3, 16, -1])
def test_a_number_that_does_not_divide_is_refused(kv_heads):
    with pytest.raises(ConfigError, match=rf"kv_heads 8 .* into {kv_heads}: .* 1, 2, 4, 8"):
        to_grouped(tiny(), kv_heads)


def test_more_vocabulary_leaves_the_old_logits_and_adds_the_mean():
    decoder = tiny()
    grown = with_vocabulary(decoder, 50 + 3)
    ids = torch.randint(0, 50, (2, 9))
    torch.testing.assert_close(grown(ids)[..., :50], decoder(ids))
    mean = decoder.tokens.weight.mean(dim=0)
    torch.testing.assert_close(grown.tokens.weight[-1], mean)
    with pytest.raises(ConfigError, match="cannot become"):
        with_vocabulary(decoder, 50 - 1)


def test_a_shorter_block_gives_the_same_logits_where_it_reaches():
    decoder = tiny(position="rope")
    short = with_block(decoder, 8)
    ids = torch.randint(0, 50, (2, 8))
    torch.testing.assert_close(short(ids), decoder(ids))
    with pytest.raises(ValueError, match="do not fit"):
        short(torch.zeros(1, 9, dtype=torch.long))
    with pytest.raises(ConfigError, match="only rope"):
        with_block(tiny(position="learned"), 8)
