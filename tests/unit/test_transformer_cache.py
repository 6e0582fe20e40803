"""The cache grows, turns, goes back, and knows what it shares with a new prompt."""

from __future__ import annotations

import pytest
import torch
from tests_support import SIZES

from transformer.cache import Append, Cache, CacheState, LayerKVCache, Ring, Turn
from transformer.config import ModelConfig
from transformer.decoder import Decoder


def tiny(**changes):
    torch.manual_seed(0)
    config = ModelConfig(vocab_size=50, block=64, width=16, layers=2, heads=4, **changes)
    return Decoder(config).eval()


def test_room_grows_and_keeps_what_was_written():
    kept, keys = LayerKVCache(), torch.randn(2, 1, 200, 4)
    for start, end in ((0, 3), (3, 64), (64, 65), (65, 200)):
        part = keys[:, :, start:end]
        k, v = Append(start, start, end)(kept, part, -part)
        assert torch.equal(k, keys[:, :, :end])
        assert torch.equal(v, -keys[:, :, :end])


def test_room_is_made_by_doubling_up_to_the_limit():
    for limit, sizes in ((float("inf"), {64, 128, 256, 512}), (300, {64, 128, 256, 300})):
        kept, rooms = LayerKVCache(block=limit), set()
        for t in range(300):
            Append(t, t, t + 1)(kept, torch.zeros(1, 1, 1, 2))
            rooms.add(kept.tensors[0].size(2))
        assert rooms == sizes


def test_writing_earlier_forgets_what_came_after():
    kept = LayerKVCache()
    Append(0, 0, 5)(kept, torch.zeros(1, 1, 5, 2))
    (k,) = Append(2, 2, 3)(kept, torch.ones(1, 1, 1, 2))
    assert k[0, 0, :, 0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("ring", [Ring(0, 3), Ring(2, 3), Ring(1, 1), Ring()])
def test_a_ring_holds_the_first_and_the_newest(ring):
    """Written one by one, as its definition says."""
    slots: dict[int, int] = {}
    for at in range(20):
        assert ring.slot_of(at) == int(ring.slot(torch.tensor(at)))
        slots[ring.slot_of(at)] = at
        named = torch.arange(int(min(ring.limit, at + 1)))
        assert ring.holds(at + 1, named).tolist() == [slots[int(s)] for s in named]
        newest = [k for k in range(at + 1) if k < ring.first or at - k < ring.newest]
        assert sorted(slots.values()) == newest


def test_a_ring_holds_nothing_where_nothing_was_written():
    assert Ring(2, 3).holds(1, torch.arange(5)).tolist() == [0, -1, -1, -1, -1]
    lengths = torch.tensor([[0], [4]])
    assert Ring(2, 3).holds(lengths, torch.arange(5)).tolist() == [[-1] * 5, [0, 1, 2, 3, -1]]


def test_a_pass_that_was_interrupted_leaves_the_ring_as_it_was():
    kept, turn = LayerKVCache(2), Turn(2, 2, torch.tensor([2, 3]))
    old, new = torch.zeros(1, 1, 2, 1), torch.ones(1, 1, 2, 1)
    Append(0, 0, 2)(kept, old)
    for _ in range(2):  # the first time is never followed by a longer cache
        assert turn(kept, new)[0].flatten().tolist() == [0, 0, 1, 1]
    assert kept.rollback_to(4)[0].flatten().tolist() == [1, 1]


@pytest.mark.parametrize(
    ("held", "ids", "same"),
    [
        ([], [1, 2], 0),
        ([1, 2, 3], [1, 2, 3, 4], 3),
        ([1, 2, 3], [1, 2, 3], 2),
        ([1, 2, 3], [1, 9, 3, 4], 1),
        ([1, 2, 3], [1], 0),
        ([1, 2, 3], [9, 2, 3], 0),
    ],
)
def test_what_a_prompt_shares_is_kept_and_one_id_is_left_to_feed(held, ids, same):
    cache = Cache([])
    cache.state = CacheState().extended(torch.tensor([held]), len(held)) if held else CacheState()
    assert cache.reuse(ids) == same
    assert len(cache) == same
    assert cache.state.longest == same


def test_what_has_forgotten_goes_back_to_the_beginning_or_not_at_all():
    ids = torch.arange(8)[None]
    for changes, back in (
        ({"pattern": "local", "window": 4}, 0),
        ({"attention": "linear"}, 0),
        ({"pattern": "local", "window": 9}, 5),
        ({"pattern": "bigbird"}, 5),
    ):
        decoder = tiny(**changes)
        cache = decoder.new_cache()
        decoder(ids, cache)
        assert cache.truncate(8) == 8
        assert cache.reuse([*range(8), 9]) == 8
        assert cache.truncate(5) == back
        assert len(cache) == back
        whole, again = decoder(ids), decoder(ids[:, back:], cache)
        torch.testing.assert_close(again, whole[:, back:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "shapes"),
    [
        ({}, [(1, 2, 64, 4)] * 2),
        ({"kv_heads": 1}, [(1, 1, 64, 4)] * 2),
        *(
            ({"pattern": p, **SIZES[p]}, [(1, 2, n, 4)] * 2)
            for p, n in (
                ("local", 3),
                ("dilated", 6),
                ("chunked", 4),
                ("global_local", 5),
                ("bigbird", 64),
            )
        ),
        ({"attention": "linear"}, [(1, 2, 4, 4), (1, 2, 4, 1)]),
        ({"attention": "latent"}, [(1, 1, 64, 16 + 2)]),
        ({"attention": "latent", "position": "none"}, [(1, 1, 64, 16)]),
        ({"attention": "short_conv", "position": "none"}, [(1, 2, 16)]),
    ],
)
@torch.no_grad()
def test_no_more_is_kept_than_the_method_needs(changes, shapes):
    """After a prompt and after single tokens."""
    decoder = tiny(**changes)
    cache, ids = decoder.new_cache(), torch.arange(40)[None]
    for part in ids.tensor_split([30, 31, 32, 33], dim=1):
        decoder(part, cache)
        assert [tuple(t.shape) for t in cache.layers[0].tensors] == shapes


@pytest.mark.parametrize(
    "changes",
    [
        {"pattern": "local", "window": 4},
        {"attention": "linear"},
        {"layer_types": [{"attention": "short_conv"}, {"pattern": "local", "window": 4}]},
    ],
)
@torch.no_grad()
def test_an_interrupted_pass_never_happened(changes):
    decoder, ids = tiny(**changes), torch.arange(20)[None]
    whole, cache = decoder(ids), decoder.new_cache()

    def interrupt(*_):
        raise KeyboardInterrupt

    for start, wrong, end in ((0, 9, 7), (7, 8, 8), (8, 20, 11), (11, 13, 20)):
        hook = decoder.blocks[1].register_forward_pre_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            decoder(ids[:, start:wrong].flip(1), cache)
        hook.remove()
        part = decoder(ids[:, start:end], cache)
        torch.testing.assert_close(part, whole[:, start:end], atol=1e-5, rtol=1e-5)
