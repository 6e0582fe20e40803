"""What the comparisons with transformers' models share."""

from __future__ import annotations

import torch

LENGTH = 24


def agree(peer, decoder):
    """Logits of the peer for ids, of ours in one pass, and of ours token by token."""
    config = decoder.config
    shape = (2, min(config.block, LENGTH))
    ids = torch.randint(config.vocab_size, shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = peer(ids).logits
        torch.testing.assert_close(decoder(ids), expected, atol=1e-4, rtol=1e-4)
        cache = decoder.new_cache()
        steps = torch.cat([decoder(one, cache) for one in ids.split(1, dim=1)], dim=1)
        torch.testing.assert_close(steps, expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.1


def spread(model):
    """Weights far enough from their small start to make a difference in the logits."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model.eval()
