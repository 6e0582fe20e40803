"""Each pattern is what its paper says, as a plain double loop, and names all keys it needs."""

from __future__ import annotations

import pytest
import torch
from tests_support import SIZES

from transformer.config import ModelConfig
from transformer.patterns import PATTERNS, BigBird

T = 40
SEES = {
    "full": lambda i, j: True,
    "local": lambda i, j: i - j < 3,
    "dilated": lambda i, j: i - j in (0, 2, 4),
    "chunked": lambda i, j: i // 4 == j // 4,
    "global_local": lambda i, j: i - j < 3 or j < 2,
}


def made(name, **changes):
    return PATTERNS[name](ModelConfig(vocab_size=2, pattern=name, **{**SIZES[name], **changes}))


def seen(pattern, length=T):
    at = torch.arange(length)
    return pattern.sees(at[:, None], at)


@pytest.mark.parametrize("name", sorted(SEES))
def test_a_pattern_is_its_definition(name):
    sees = SEES[name]
    expected = [[j <= i and sees(i, j) for j in range(T)] for i in range(T)]
    assert seen(made(name)).tolist() == expected


def test_bigbird_is_global_and_window_and_links_between_blocks():
    pattern = made("bigbird")
    linked = pattern.linked_blocks(torch.arange(T // 2)).tolist()
    for i, row in enumerate(seen(pattern).tolist()):
        for j, sees in enumerate(row):
            near = i - j < 3 or j < 2 or j // 2 in linked[i // 2]
            assert sees == (j <= i and near), (i, j)


def test_links_are_spread_over_the_past_and_never_change():
    pattern = made("bigbird", random_blocks=3, pattern_block=4, window=8, global_tokens=6)
    assert isinstance(pattern, BigBird)
    linked = pattern.linked_blocks(torch.arange(200))
    # Blocks 0 and 1 hold the first tokens, and those from (4 n - 7) // 4 on the window.
    for n, links in enumerate(linked.tolist()):
        real = [link for link in links if link >= 0]
        assert len(set(real)) == len(real)
        assert all(2 <= link < (4 * n - 7) // 4 for link in real), n
        assert len(real) == 3 or n < 40
    shares = linked[150:] / torch.arange(150, 200)[:, None]
    assert shares[:, 0].mean() < 0.3 < shares[:, 1].mean() < 0.6 < shares[:, 2].mean()
    # Worked out once in Python's integers, which know no overflow.
    assert linked[197:].tolist() == [[25, 106, 164], [9, 70, 169], [46, 98, 191]]


@pytest.mark.parametrize("name", [name for name in PATTERNS if name != "full"])
@pytest.mark.parametrize(("start", "end"), [(0, 40), (0, 37), (7, 40), (13, 16)])
def test_the_reach_of_a_block_holds_every_key_that_is_seen_once(name, start, end):
    pattern = made(name)
    reach, sees = pattern.block_keys(start, end), seen(pattern)
    queries = [int(i) for i in reach.queries.flatten() if start <= i < end]
    assert sorted(queries) == list(range(start, end))
    for block, keys in zip(reach.queries.tolist(), reach.keys.tolist(), strict=True):
        real = [j for j in keys if 0 <= j < end]
        assert len(set(real)) == len(real)
        for i in block:
            if start <= i < end:
                assert set(sees[i].nonzero().flatten().tolist()) <= set(real)


@pytest.mark.parametrize("name", PATTERNS)
def test_what_a_ring_forgets_is_never_seen_again(name):
    pattern, sees = made(name), seen(made(name))
    for i in range(T):
        for j in range(i):
            if j >= pattern.ring.first and i - j >= pattern.ring.newest:
                assert not sees[i:, j].any()
    whole = int(min(pattern.dense_up_to, T))
    assert torch.equal(sees[:whole, :whole], torch.ones(whole, whole).tril().bool())
