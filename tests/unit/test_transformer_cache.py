"""The cache grows, goes back, and knows what it shares with a new prompt."""

from __future__ import annotations

import pytest
import torch

from transformer.cache import Cache, KeyValues


def test_room_grows_and_keeps_what_was_written():
    cache, keys = KeyValues(), torch.randn(2, 1, 200, 4)
    for start, end in ((0, 3), (3, 64), (64, 65), (65, 200)):
        part = keys[:, :, start:end]
        k, v = cache.put(start, part, -part)
        assert torch.equal(k, keys[:, :, :end])
        assert torch.equal(v, -keys[:, :, :end])


def test_room_is_made_by_doubling():
    cache, rooms = KeyValues(), set()
    for t in range(500):
        cache.put(t, *torch.zeros(2, 1, 1, 1, 2))
        rooms.add(cache.keys.size(2))
    assert rooms == {64, 128, 256, 512}


def test_writing_earlier_forgets_what_came_after():
    cache = KeyValues()
    cache.put(0, *torch.zeros(2, 1, 1, 5, 2))
    k, _ = cache.put(2, *torch.ones(2, 1, 1, 1, 2))
    assert k[0, 0, :, 0].tolist() == [0, 0, 1]


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
    cache.ids = torch.tensor([held]) if held else None
    assert cache.reuse(ids) == same
    assert len(cache) == same
    assert cache.with_next(torch.tensor([[7]])).tolist() == [[*held[:same], 7]]
