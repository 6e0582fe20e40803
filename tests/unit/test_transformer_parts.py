"""Each part at its seam: positions, patterns, the plan, the one-row product, attention, init."""

from __future__ import annotations

import pickle

import pytest
import torch
import torch.nn.functional as F
from tests_support import SIZES

from transformer.attention import GroupedQueryAttention
from transformer.attention_plan import align_padding, pick_slots, plan_attention
from transformer.cache import CacheState
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.latent import LatentAttention
from transformer.layers import Linear, RMSNorm
from transformer.patterns import PATTERNS, Pattern
from transformer.positions import POSITIONS, NoPosition
from transformer.recurrent import LinearAttention
from transformer.softmax import DenseAttention

TINY = {"vocab_size": 50, "block": 16, "width": 16, "layers": 2, "heads": 4, "dropout": 0.0}


def tiny(**changes):
    torch.manual_seed(0)
    return Decoder(ModelConfig(**{**TINY, **changes})).eval()


def plan_of(rows, new=None, position=None, pattern=None):
    """The plan of the last `new` ids of some rows, the others being in the cache."""
    config, ids = ModelConfig(**TINY), torch.tensor(rows)
    old, ids = ids.tensor_split([ids.size(1) - (new or ids.size(1))], dim=1)
    held = CacheState().extended(old, (old >= 0).sum(dim=1)) if old.size(1) else CacheState()
    aligned = align_padding(ids)
    after = held.extended(ids, aligned.counts)
    position = position or NoPosition(config)
    return plan_attention(held, aligned, after, position, pattern or PATTERNS["full"](config))


class Slope(NoPosition):
    """A bias that grows with the distance."""

    def bias(self, q_pos, k_pos):
        return -(q_pos[..., :, None] - k_pos[..., None, :]).abs().float()[..., None, :, :]


class Near(Pattern):
    """A window that is nothing but a mask."""

    def __init__(self, config):
        super().__init__(config)
        self.dense_up_to = 1

    def sees(self, q_pos, k_pos):
        return (k_pos <= q_pos) & (k_pos > q_pos - 2)


def test_no_mask_is_built_when_causality_is_enough():
    for rows in ([[1, 2, 3]], [[1, 2, 3], [4, -1, -1]], [[-1, 2, 3], [4, 5, -1]], [[-1, -1, -1]]):
        plan = plan_of(rows)
        assert plan.attend == DenseAttention(None, causal=True)
    one = plan_of([[1, 2, 3], [4, 5, 6]], new=1)
    assert (one.positions.tolist(), one.attend) == ([2], DenseAttention(None, causal=False))


def test_a_chunk_after_others_sees_them_and_its_own_past():
    attend = plan_of([[1, 2, 3, 4]], new=2).attend
    assert attend.mask.tolist() == [[True, True, True, False], [True, True, True, True]]
    assert not attend.causal


def test_padding_is_moved_behind_the_tokens_and_back():
    ids = torch.tensor([[-1, -1, 7, 8], [5, -1, 6, -1], [-1, 9, -1, -1]])
    aligned = align_padding(ids)
    assert aligned.ids.tolist() == [[7, 8], [5, 6], [9, -1]]
    assert aligned.counts.tolist() == [2, 2, 1]
    back = aligned.restore(aligned.ids[..., None])[..., 0]
    assert torch.equal(back.where(ids >= 0, -1), ids)
    assert align_padding(ids[:2]).counts == 2  # no padding is left in these rows
    last = torch.tensor([[7, 8], [9, -1]])
    assert align_padding(last).ids is last


def test_positions_do_not_count_padding():
    plan = plan_of([[-1, -1, 7, 8, 9], [5, 6, 7, 8, -1]], new=3)
    assert plan.positions.tolist() == [[0, 1, 2], [2, 3, 3]]
    assert plan.is_token.tolist() == [[True, True, True], [True, True, False]]
    assert plan.attend.mask[0, 0].tolist() == torch.ones(3, 5).tril().bool().tolist()
    assert plan.attend.mask[1, 0, :2].tolist() == torch.ones(4, 5).tril().bool()[2:].tolist()


def test_a_pattern_and_a_bias_are_rows_that_need_no_other_change():
    config = ModelConfig(**TINY)
    near = plan_of([[1, 2, 3]], pattern=Near(config)).attend
    assert near.mask.tolist() == [[True, False, False], [True, True, False], [False, True, True]]
    both = plan_of([[1, 2, 3]], position=Slope(config), pattern=Near(config)).attend
    assert both.mask.shape == (1, 3, 3)
    assert both.mask[0, 2].tolist() == [float("-inf"), -1, 0]
    one = plan_of([[1, 2, 3]], new=1, position=Slope(config), pattern=Near(config))
    assert (one.write.pick, one.attend.mask.tolist()) == (slice(1, 3, 1), [[[-1, 0]]])


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_the_cache_agrees_for_a_bias_under_every_pattern(pattern):
    decoder = tiny(position="none", pattern=pattern, **SIZES[pattern])
    decoder.position = Slope(decoder.config)
    ids = torch.tensor([[-1, -1, *range(3, 14)], [*range(1, 14)]])
    whole, cache = decoder(ids), decoder.new_cache()
    cuts = ((0, 3), (3, 4), (4, 9), (9, 10), (10, 13))
    parts = torch.cat([decoder(ids[:, a:b], cache) for a, b in cuts], dim=1)
    torch.testing.assert_close(parts[ids >= 0], whole[ids >= 0], atol=1e-5, rtol=1e-5)
    alone = decoder(ids[:1, 2:])
    torch.testing.assert_close(whole[:1, 2:], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("seen", "pick"),
    [
        ("1111", None),
        ("0110", slice(1, 3, 1)),
        ("1001001", slice(0, 7, 3)),
        ("0010", slice(2, 3, 1)),
        ("1101", [0, 1, 3]),
    ],
)
def test_evenly_spaced_keys_are_read_where_they_are(seen, pick):
    found = pick_slots(torch.tensor([int(c) for c in seen]).bool())
    assert (found.tolist() if isinstance(found, torch.Tensor) else found) == pick


def test_rope_scores_depend_on_the_distance_alone():
    config = ModelConfig(**TINY)
    rope = POSITIONS["rope"](config)
    q, k = torch.randn(2, 1, 1, 4, 4)

    def score(q_pos, k_pos):
        turned = rope.rotate(torch.tensor([q_pos]))(q) * rope.rotate(torch.tensor([k_pos]))(k)
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


@pytest.mark.parametrize("bias", [True, False])
def test_many_rows_in_bfloat16_are_multiplied_in_float32_where_that_is_faster(monkeypatch, bias):
    layer = Linear(8, 20, bias=bias).bfloat16()
    x = torch.randn(2, 8, 8).bfloat16()
    exact = F.linear(x.float(), *(w.detach().float() for w in layer.parameters())).bfloat16()
    made = []
    monkeypatch.setattr(F, "linear", lambda *given, f=F.linear: made.append(given) or f(*given))
    for fast, learns, wanted in (
        (False, False, torch.float32),
        (True, False, torch.bfloat16),
        (False, True, torch.bfloat16),
    ):
        monkeypatch.setattr("transformer.layers.has_bfloat16_matmul", lambda fast=fast: fast)
        with torch.set_grad_enabled(learns):
            y = layer(x)
        assert made[-1][1].dtype == wanted
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y, exact, atol=0.03, rtol=0.03)


def test_shared_heads_are_full_attention_with_copied_heads():
    """Multi-query is grouped with one head, is multi-head whose key and value heads are equal."""
    base = {**TINY, "position": "none"}
    full = GroupedQueryAttention(ModelConfig(**{**base, "kv_heads": 4}))
    for kv_heads in (1, 2):
        few = GroupedQueryAttention(ModelConfig(**{**base, "kv_heads": kv_heads}))
        q, k, v = few.qkv.weight.detach().split((16, 4 * kv_heads, 4 * kv_heads))
        copied = [m.view(kv_heads, 4, 16).repeat_interleave(4 // kv_heads, 0) for m in (k, v)]
        full.qkv.weight.data = torch.cat([q, *(m.reshape(16, 16) for m in copied)])
        full.out.weight.data = few.out.weight.data
        x, plan = torch.randn(2, 5, 16), plan_of([[1, 2, 3, 4, 5]])
        torch.testing.assert_close(few(x, plan), full(x, plan))


@pytest.mark.parametrize("position", ["none", "rope"])
def test_linear_attention_is_its_formula_over_all_pairs(position):
    """Longer than a chunk, two heads of queries for one of keys, and position in the numerator."""
    config = ModelConfig(**{**TINY, "block": 150, "kv_heads": 2, "position": position})
    attention, x = LinearAttention(config), torch.randn(2, 150, 16)
    plan = plan_of([[1] * 150] * 2, position=POSITIONS[position](config))
    qk, v = attention.project_qkv(x)
    qk = F.elu(qk) + 1
    q, k = (h.repeat_interleave(n, 2) for h, n in zip(qk.split((4, 2), 2), (1, 2), strict=True))
    turned_q, turned_k = plan.rotate(q), plan.rotate(k)
    v = v.repeat_interleave(2, 2)
    past = torch.ones(150, 150).tril()
    scores = torch.einsum("bthd,bshd->bhts", turned_q, turned_k) * past
    total = (torch.einsum("bthd,bshd->bhts", q, k) * past).sum(-1, keepdim=True)
    plain = attention.project_out(torch.einsum("bhts,bshd->bhtd", scores / total, v))
    torch.testing.assert_close(attention(x, plan), plain, atol=1e-5, rtol=1e-4)


def test_the_sums_of_linear_attention_are_float32_in_a_smaller_model():
    decoder = tiny(attention="linear").bfloat16()
    cache = decoder.new_cache()
    assert decoder(torch.tensor([[1, 2, 3]]), cache).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        tiny(attention="linear")(torch.tensor([[1, 2, 3]]), other := decoder.new_cache())
    for layer in (*cache.layers, *other.layers):
        assert {t.dtype for t in layer.tensors} == {torch.float32}


@torch.no_grad()
@pytest.mark.parametrize("position", ["none", "rope"])
def test_latents_are_absorbed_for_a_token_and_expanded_for_many(position, monkeypatch):
    decoder = tiny(attention="latent", position=position)
    attention = decoder.blocks[0].attention
    assert attention._absorbs(1)
    assert not attention._absorbs(100)
    ids, found = torch.arange(16)[None], []
    for absorbs in (True, False):
        monkeypatch.setattr(LatentAttention, "_absorbs", lambda self, T, absorbs=absorbs: absorbs)
        cache = decoder.new_cache()
        parts = [decoder(part, cache) for part in ids.tensor_split([9, 10, 11], dim=1)]
        found.append(torch.cat(parts, dim=1))
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)


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


@pytest.mark.parametrize("position", ["rope", "sinusoidal"])
def test_the_table_of_a_position_is_never_rounded(position):
    config = ModelConfig(vocab_size=9, block=600, width=32, layers=1, heads=2, position=position)
    exact = Decoder(config).position.table
    there_and_back = Decoder(config).bfloat16()
    assert there_and_back.tokens.weight.dtype == torch.bfloat16
    assert torch.equal(there_and_back.position.table, exact)
    assert torch.equal(there_and_back.float().position.table, exact)


def test_recomputed_blocks_give_the_same_gradients_with_the_same_dropout():
    def gradients(recompute):
        decoder = tiny(dropout=0.3).train()
        decoder.recompute = recompute
        torch.manual_seed(1)
        decoder(torch.tensor([[1, 2, 3, 4], [5, 6, 7, -1]])).sum().backward()
        return {name: weight.grad for name, weight in decoder.named_parameters()}

    plain, recomputed = gradients(False), gradients(True)
    torch.testing.assert_close(recomputed, plain, rtol=0, atol=0)


def test_recomputing_keeps_less_for_the_backward_pass():
    def kept(recompute):
        decoder = tiny().train()
        decoder.recompute = recompute
        sizes = []

        def pack(x):
            sizes.append(x.numel())
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            decoder(torch.arange(16)[None])
        return sum(sizes)

    assert kept(True) < kept(False) / 3


@pytest.mark.parametrize("frozen", [False, True])
def test_rms_norm_in_training_has_the_gradients_of_torchs(frozen):
    norm = RMSNorm(ModelConfig(**TINY))
    norm.weight.data.normal_()
    norm.weight.requires_grad_(not frozen)
    x, grad = torch.randn(2, 3, 5, 16)
    learned = [] if frozen else [norm.weight]

    def found(apply):
        inputs = [x.clone().requires_grad_(), *learned]
        y = apply(inputs[0])
        return y.detach(), *torch.autograd.grad(y, inputs, grad)

    expected = found(lambda x: F.rms_norm(x, (16,), norm.weight, norm.eps))
    torch.testing.assert_close(found(norm), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(found(norm), expected)
