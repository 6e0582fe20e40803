"""The mixture of chat and corpus: its shares, its order, and what is validated on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import Pretrain
from pipeline.training.arrays import ArrayFile, writing
from pipeline.training.batches import Blocks
from pipeline.training.mixture import Mixture, blocks


class Numbers:
    """Data whose samples are their own numbers, shifted."""

    def __init__(self, first: int, epoch: int) -> None:
        self.first, self.epoch = first, epoch

    def batch(self, number, size, late=False):
        x = torch.arange(number, number + size).reshape(size, 1) + self.first
        return x, x


def drawn(mixture, number, size, late=False):
    return mixture.batch(number, size, late)[0].flatten().tolist()


@given(
    share=st.integers(0, 1000).map(lambda n: n / 1000),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=20),
)
def test_each_source_is_gone_through_in_its_order_at_its_share(share, sizes):
    mixture = Mixture(Numbers(0, 10), Numbers(10**6, 10), share, share)
    number, found = 0, []
    for size in sizes:
        found += drawn(mixture, number, size)
        number += size
    chat = [n for n in found if n < 10**6]
    corpus = [n - 10**6 for n in found if n >= 10**6]
    assert chat == list(range(len(chat)))
    assert corpus == list(range(len(corpus)))
    assert len(found) == number
    assert abs(len(chat) - share * number) < 1


@given(number=st.integers(0, 10**9), size=st.integers(2, 30), late=st.booleans())
def test_a_batch_depends_on_its_number_alone(number, size, late):
    mixture = Mixture(Numbers(0, 10), Numbers(10**6, 10), 0.3, 0.6)
    halves = drawn(mixture, number, 1, late) + drawn(mixture, number + 1, size - 1, late)
    assert sorted(halves) == sorted(drawn(mixture, number, size, late))


@pytest.fixture
def array(tmp_path):
    def made(chat, corpus):
        path = tmp_path / "train.bin"
        with writing(path, "uint16") as writer:
            writer.append(np.zeros(chat, "uint16"))
            writer.append(np.ones(corpus, "uint16"))
            writer.info["chat_tokens"] = chat
        return ArrayFile(path)

    return made


def test_a_small_chat_is_not_drowned_and_comes_to_the_fore_in_the_end(array):
    with array(200, 100_000) as train:
        data = blocks(train, 8, Pretrain(), 1)
        early = data.batch(0, 1000)[0].float().mean()
        late = data.batch(5000, 1000, late=True)[0].float().mean()
    assert early == pytest.approx(0.9, abs=0.01)
    assert late == pytest.approx(0.5, abs=0.01)


def test_the_share_is_a_setting(array):
    with array(5_000, 5_000) as train:
        data = blocks(train, 8, Pretrain(chat_share=0.2), 1)
        for late in (False, True):
            assert data.batch(0, 1000, late)[0].float().mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("chat", "corpus"), [(0, 500), (500, 0), (5, 500), (500, 5)])
def test_one_source_alone_is_no_mixture(array, chat, corpus):
    with array(chat, corpus) as train:
        data = blocks(train, 8, Pretrain(), 1)
        assert isinstance(data, Blocks)
        assert len(data.ids) == chat + corpus
        del data
