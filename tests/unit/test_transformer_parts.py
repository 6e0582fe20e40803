"""Each part at its seam: positions, patterns, the view, the one-row product, attention, init."""

from __future__ import annotations

import pickle

import pytest
import torch
import torch.nn.functional as F

from transformer.attention import Grouped
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.linear import Linear
from transformer.patterns import PATTERNS, Pattern
from transformer.positions import POSITIONS, NoPosition
from transformer.view import look, real_tokens

TINY = {"vocab_size": 50, "block": 16, "width": 16, "layers": 2, "heads": 4, "dropout": 0.0}


def tiny(**changes):
    torch.manual_seed(0)
    return Decoder(ModelConfig(**{**TINY, **changes})).eval()


def view_of(rows, new=None, position=None, pattern=None):
    config = ModelConfig(**TINY)
    seen = torch.tensor(rows)
    position = position or NoPosition(config)
    pattern = pattern or PATTERNS["full"](config)
    return look(seen, new or seen.size(1), real_tokens(seen), position, pattern)


def test_no_mask_is_built_when_causality_is_enough():
    for rows in ([[1, 2, 3]], [[1, 2, 3], [4, -1, -1]], [[-1, -1, -1]]):
        view = view_of(rows)
        assert view.mask is None
        assert view.causal
    one = view_of([[1, 2, 3]], new=1)
    assert (one.start, one.at.tolist(), one.mask, one.causal) == (2, [2], None, False)


def test_a_chunk_after_others_sees_them_and_its_own_past():
    view = view_of([[1, 2, 3, 4]], new=2)
    assert view.mask.tolist() == [[True, True, True, False], [True, True, True, True]]
    assert not view.causal


def test_padding_on_the_left_is_not_counted_and_not_seen():
    view = view_of([[-1, -1, 7, 8], [5, 6, 7, 8]])
    assert view.at.tolist() == [[0, 0, 0, 1], [0, 1, 2, 3]]
    assert view.mask[0, 0, 2:].tolist() == [[False, False, True, False], [False, False, True, True]]
    assert view.mask[0, 0, :2].any(dim=1).all()  # a softmax over nothing would be NaN
    assert torch.equal(view.mask[1, 0], torch.ones(4, 4).tril().bool())


def test_a_pattern_and_a_bias_are_rows_that_need_no_other_change():
    """The seams that later variants will use: a window, and a bias that grows with distance."""

    class Slope(NoPosition):
        def bias(self, q_at, k_at):
            return -(q_at[..., :, None] - k_at[..., None, :]).abs().float().expand(4, -1, -1)

    window = Pattern(lambda q_at, k_at: (k_at <= q_at) & (k_at > q_at - 2))
    near = view_of([[1, 2, 3]], pattern=window)
    assert near.mask.tolist() == [[True, False, False], [True, True, False], [False, True, True]]
    both = view_of([[1, 2, 3]], position=Slope(ModelConfig(**TINY)), pattern=window)
    assert both.mask.shape == (4, 3, 3)
    assert both.mask[0, 2].tolist() == [float("-inf"), -1, 0]


@pytest.mark.parametrize("name", ["window", "slope"])
def test_the_cache_agrees_for_a_pattern_and_a_bias_of_their_own(name):
    class Slope(NoPosition):
        def bias(self, q_at, k_at):
            return -(q_at[..., :, None] - k_at[..., None, :]).abs().float()[..., None, :, :]

    decoder = tiny(position="none")
    if name == "window":
        decoder.pattern = Pattern(lambda q_at, k_at: (k_at <= q_at) & (k_at > q_at - 3))
    else:
        decoder.position = Slope(decoder.config)
    ids = torch.tensor([[-1, -1, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8]])
    whole, cache = decoder(ids), decoder.new_cache()
    parts = torch.cat([decoder(ids[:, a:b], cache) for a, b in ((0, 3), (3, 4), (4, 8))], dim=1)
    torch.testing.assert_close(parts[:, 2:], whole[:, 2:], atol=1e-5, rtol=1e-5)


def test_rope_scores_depend_on_the_distance_alone():
    config = ModelConfig(**TINY)
    rope = POSITIONS["rope"](config)
    q, k = torch.randn(2, 1, 1, 4, 4)

    def score(q_at, k_at):
        turned = rope.rotate(torch.tensor([q_at]))(q) * rope.rotate(torch.tensor([k_at]))(k)
        return turned.sum(-1)

    torch.testing.assert_close(score(9, 5), score(4, 0))
    assert not torch.allclose(score(9, 5), score(9, 4))
    torch.testing.assert_close(rope.rotate(torch.tensor([0]))(q), q)


def test_sinusoids_are_those_of_the_paper():
    table = POSITIONS["sinusoidal"](ModelConfig(**TINY)).embed(
        torch.zeros(1, 16, 16), torch.arange(16)
    )
    expected = torch.tensor(5 / 10_000 ** (6 / 16))
    torch.testing.assert_close(table[0, 5, 6], expected.sin())
    torch.testing.assert_close(table[0, 5, 7], expected.cos())


@pytest.mark.parametrize(("rows", "columns"), [(64, 32), (67, 32), (5, 8), (16, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_road_for_one_row_gives_what_the_usual_one_does(rows, columns, bias):
    layer = Linear(columns, rows, bias=bias)
    wide = torch.randn(1, 3, columns)
    for x in (torch.randn(columns), torch.randn(1, 1, columns), wide[:, -1]):
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
        assert layer(x).shape == (*x.shape[:-1], rows)


def test_one_row_has_a_gradient():
    layer, x = Linear(8, 20), torch.randn(1, 8, requires_grad=True)
    layer(x).square().sum().backward()
    ours = layer.weight.grad.clone(), x.grad.clone()
    layer.weight.grad = x.grad = None
    F.linear(x, layer.weight, layer.bias).square().sum().backward()
    torch.testing.assert_close(ours, (layer.weight.grad, x.grad))


def test_shared_heads_are_full_attention_with_copied_heads():
    """Multi-query is grouped with one head, is multi-head whose key and value heads are equal."""
    base = {**TINY, "position": "none"}
    full = Grouped(ModelConfig(**{**base, "kv_heads": 4}))
    for kv_heads in (1, 2):
        few = Grouped(ModelConfig(**{**base, "kv_heads": kv_heads}))
        q, k, v = few.qkv.weight.detach().split((16, 4 * kv_heads, 4 * kv_heads))
        copied = [m.view(kv_heads, 4, 16).repeat_interleave(4 // kv_heads, 0) for m in (k, v)]
        full.qkv.weight.data = torch.cat([q, *(m.reshape(16, 16) for m in copied)])
        full.out.weight.data = few.out.weight.data
        x, view = torch.randn(2, 5, 16), view_of([[1, 2, 3, 4, 5]])
        torch.testing.assert_close(few(x, view), full(x, view))


def test_what_layers_add_starts_smaller_the_more_layers_there_are():
    decoder = tiny(width=64, layers=8, bias=True)
    block = decoder.blocks[0]
    assert block.attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.1)
    for adds in (block.attention.out, block.feedforward.down):
        assert adds.weight.std().item() == pytest.approx(0.02 / 4, rel=0.1)
        assert not adds.bias.any()
    assert (block.attention_norm.weight == 1).all()


def test_a_norm_at_the_end_stands_only_where_nothing_was_normed():
    for norm in ("layer", "rms"):
        assert "norm.weight" in tiny(norm=norm, placement="pre").state_dict()
        assert "norm.weight" not in tiny(norm=norm, placement="post").state_dict()


def test_a_decoder_can_be_sent_to_another_process():
    decoder, ids = tiny(), torch.tensor([[1, 2, 3]])
    assert torch.equal(pickle.loads(pickle.dumps(decoder))(ids), decoder(ids))


def test_a_seed_is_an_argument():
    config = ModelConfig(**TINY)

    def drawn(seed):
        return Decoder(config, torch.Generator().manual_seed(seed)).tokens.weight

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
