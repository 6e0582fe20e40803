"""A head on the last real token: wherever the padding is, and after the disk."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transformer.classifier import HEAD_CONFIG, HEAD_WEIGHTS, Classifier, last_token, load, save
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import WeightsError

TINY = ModelConfig(vocab_size=30, block=16, width=16, layers=2, heads=4, dropout=0.0)


def classifier(classes: int = 3) -> Classifier:
    generator = torch.Generator().manual_seed(0)
    return Classifier(Decoder(TINY, generator), classes, generator).eval()


def test_the_head_reads_the_last_token_of_the_text_alone():
    made = classifier()
    ids = torch.tensor([[4, 9, 2, 7]])
    expected = made.head(made.decoder.hidden(ids)[:, -1])
    assert torch.allclose(made(ids), expected)
    assert not torch.allclose(made(ids), made(ids[:, :-1]))


@pytest.mark.parametrize("padding", ["left", "right"])
def test_padding_on_either_side_changes_nothing(padding):
    made = classifier()
    texts = [[4, 9, 2, 7], [5], [3, 8]]
    alone = torch.cat([made(torch.tensor([text])) for text in texts])
    rows = [
        [-1] * (6 - len(t)) + t if padding == "left" else t + [-1] * (6 - len(t)) for t in texts
    ]
    assert torch.allclose(made(torch.tensor(rows)), alone, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-1, 5), min_size=1, max_size=12).filter(lambda row: max(row) >= 0))
def test_the_last_token_token_is_where_python_finds_it(row):
    at = int(last_token(torch.tensor([row])))
    assert row[at] >= 0
    assert all(token < 0 for token in row[at + 1 :])


def test_a_text_without_tokens_is_refused():
    with pytest.raises(ValueError, match="without tokens"):
        classifier()(torch.tensor([[1, 2], [-1, -1]]))


def test_one_class_is_nothing_to_tell_apart():
    with pytest.raises(ValueError, match="2 or more"):
        classifier(1)


def test_saved_and_loaded_it_tells_the_same(tmp_path):
    made = classifier()
    save(made, tmp_path / "c")
    again = load(tmp_path / "c")
    ids = torch.tensor([[4, 9, 2, 7], [5, -1, -1, -1]])
    assert torch.equal(made(ids), again(ids))
    assert not again.training
    assert not list((tmp_path / "c").glob("*.part"))


def test_a_head_of_another_classifier_is_refused(tmp_path):
    save(classifier(3), tmp_path / "three")
    save(classifier(2), tmp_path / "two")
    (tmp_path / "two" / HEAD_WEIGHTS).replace(tmp_path / "three" / HEAD_WEIGHTS)
    with pytest.raises(WeightsError, match=HEAD_CONFIG):
        load(tmp_path / "three")
    (tmp_path / "three" / HEAD_CONFIG).write_text('{"classes": true}', encoding="utf-8")
    with pytest.raises(WeightsError, match="damaged"):
        load(tmp_path / "three")
