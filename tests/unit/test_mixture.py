"""Samples of a chat and a corpus: the share is kept, and each follows from its number alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.batches import (
    LOADERS,
    Blocks,
    Mixture,
    backwards,
    chat_share,
    pretraining_data,
)
from pipeline.training.memmap import ArrayFile, writing
from pipeline.workspace.settings import Pretrain

CHAT = np.arange(0, 101, dtype=np.uint16)
CORPUS = np.arange(1000, 1401, dtype=np.uint16)
BLOCK = 4


def mixed(share, loader="blocks", seed=5):
    chat, corpus = (Blocks(ids, BLOCK, loader, seed) for ids in (CHAT, CORPUS))
    return Mixture(chat, corpus, share, share**0.5)


def firsts(data, number, size, late=False):
    return data.batch(number, size, late)[0][:, 0]


@given(st.floats(0, 1), st.integers(0, 10**9), st.integers(1, 300))
def test_every_stretch_of_samples_holds_the_share(share, number, size):
    for late, part in ((False, share), (True, share**0.5)):
        of_chat = int((firsts(mixed(share), number, size, late) < 1000).sum())
        assert abs(of_chat - part * size) <= 1


@pytest.mark.parametrize("loader", LOADERS)
@given(cut=st.integers(1, 39), late=st.booleans(), number=st.integers(0, 10**6))
def test_a_sample_is_the_same_in_whatever_batch_it_comes(loader, cut, late, number):
    whole = mixed(0.3, loader).batch(number, 40, late)
    data = mixed(0.3, loader)
    parts = [data.batch(number, cut, late), data.batch(number + cut, 40 - cut, late)]
    for half in (0, 1):
        assert torch.equal(whole[half], torch.cat([part[half] for part in parts]))
    assert torch.equal(whole[0][:, 1:], whole[1][:, :-1])


def test_a_source_is_visited_once_before_any_block_comes_again():
    found = firsts(mixed(0.2), 0, 125).tolist()
    chat, corpus = ([f for f in found if (f < 1000) == side] for side in (True, False))
    assert sorted(chat) == list(range(0, 100, 4))
    assert sorted(corpus) == list(range(1000, 1400, 4))


def test_what_is_learned_late_was_not_seen_before():
    data = mixed(0.2)
    early, late = firsts(data, 0, 28).tolist(), firsts(data, 28, 12, late=True).tolist()
    assert len({*early, *late}) == 40


@given(st.integers(1, 50), st.integers(0, 3))
def test_backwards_is_each_pass_from_its_end(epoch, passes):
    numbers = np.arange(passes * epoch, (passes + 1) * epoch)
    assert backwards(numbers, epoch).tolist() == numbers[::-1].tolist()


def test_nothing_and_all_of_the_chat():
    for late in (False, True):
        assert (firsts(mixed(0.0), 0, 50, late) >= 1000).all()
        assert (firsts(mixed(1.0), 0, 50, late) < 1000).all()


def test_auto_gives_a_small_chat_more_than_its_size_and_a_large_one_no_less():
    assert chat_share(10_000, 1_000_000) == pytest.approx(1 / 11)
    assert chat_share(900, 100) == pytest.approx(0.9)


@pytest.fixture
def train(tmp_path):
    with writing(tmp_path / "train.bin", "uint16") as writer:
        writer.append(np.concatenate([CHAT, CORPUS]))
        writer.info["chat_tokens"] = len(CHAT)
    with ArrayFile(tmp_path / "train.bin") as file:
        yield file


def test_the_chat_comes_to_the_fore_in_the_end_and_its_share_is_a_setting(train):
    for chosen, early in ((0.25, 0.25), ("auto", chat_share(101, 401))):
        data = pretraining_data(train, BLOCK, Pretrain(chat_share=chosen), 1)
        for late, share in ((False, early), (True, early**0.5)):
            found = (firsts(data, 0, 1000, late) < 1000).float().mean()
            assert found == pytest.approx(share, abs=0.002)


@pytest.mark.parametrize("border", [0, 3, 101, 500, 502])
def test_without_both_sources_the_samples_are_those_of_the_whole(train, border):
    train.info["chat_tokens"] = border
    data = pretraining_data(train, BLOCK, Pretrain(loader="blocks"), 5)
    assert isinstance(data, Mixture) == (border == 101)
    if border != 101:
        expected = Blocks(train.values, BLOCK, "blocks", 5).batch(7, 9)
        assert torch.equal(data.batch(7, 9)[0], expected[0])
    del data
