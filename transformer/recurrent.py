"""Mixers whose memory of the past has a constant size, however long it is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.attention import GroupedQueryAttention
from transformer.attention_plan import AttentionPlan
from transformer.cache import LayerKVCache
from transformer.config import ModelConfig
from transformer.layers import Linear
from transformer.patterns import Pattern

CHUNK = 64  # tokens whose pairs are computed; about D, so that sums and pairs cost the same


class LinearAttention(GroupedQueryAttention):
    """φ(q)ᵀφ(k) with φ = elu + 1 instead of a softmax (Katharopoulos et al. 2020, arXiv
    2006.16236), so that the past is two sums of constant size and time grows with T alone.

    A rotary position turns the features in the numerator only, as in RoFormer (arXiv 2104.09864,
    equation 19): turned ones can be negative, and a denominator must not come near 0. The sums are
    float32 whatever the weights are.
    """

    def new_cache(self, pattern: Pattern) -> LayerKVCache:
        """An empty cache for this layer: the two sums, from which no token can be taken back."""
        return LayerKVCache(limit=0)

    def cache_size(self, tokens: int, pattern: Pattern) -> int:
        """The same for any number of tokens; they are float32 whatever the weights are."""
        return self.kv_heads * self.head_size * (self.head_size + 1)

    def forward(self, x: Tensor, plan: AttentionPlan, cache: LayerKVCache | None = None) -> Tensor:
        qk, v = self.project_qkv(x)
        heads = (self.heads, self.kv_heads)
        with torch.autocast(x.device.type, enabled=False):
            qk = F.elu(qk.float()) + 1
            if plan.is_token is not None:
                qk = qk * plan.is_token[..., None, None]  # padding adds nothing to the sums
            turned_q, turned_k = plan.rotate(qk).transpose(1, 2).split_with_sizes(heads, dim=1)
            q, k = qk.transpose(1, 2).split_with_sizes(heads, dim=1)  # (B, H or Hkv, T, D)
            v = v.transpose(1, 2).float()
            sums = () if cache is None else cache.rollback_to(plan.cached)
            numerator, denominator = sums or (None, None)
            y, numerator = causal_sum(turned_q, turned_k, v, numerator)
            total, denominator = causal_sum(q, k, torch.ones_like(v[..., :1]), denominator)
            if cache is not None:
                cache.replace(plan.cached, (numerator, denominator))
            y = y / total.clamp(min=1e-6)
        return self.project_out(y.to(x.dtype))


class ShortConvolution(nn.Module):
    """out · conv(in · x): a gated causal convolution over a few tokens, channel by channel.

    As in LFM2 (Liquid AI 2025, github.com/huggingface/transformers, models/lfm2), where such layers
    stand between some of attention. The past is the last `mixer_kernel` - 1 inputs.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.width, self.past = config.width, config.mixer_kernel - 1
        self.conv_in = Linear(config.width, 3 * config.width, bias=config.bias)
        self.conv_weight = nn.Parameter(torch.empty(config.width, 1, config.mixer_kernel))
        self.conv_out = Linear(config.width, config.width, bias=config.bias)

    def new_cache(self, pattern: Pattern) -> LayerKVCache:
        """An empty cache for this layer: the last inputs, from which no token can be taken back."""
        return LayerKVCache(limit=0)

    def cache_size(self, tokens: int, pattern: Pattern) -> int:
        """The same for any number of tokens."""
        return self.past * self.width

    def forward(self, x: Tensor, plan: AttentionPlan, cache: LayerKVCache | None = None) -> Tensor:
        B, T, _ = x.shape
        gate_in, gate_out, value = self.conv_in(x).chunk(3, dim=-1)
        value = gate_in * value
        before = () if cache is None else cache.rollback_to(plan.cached)
        past = before[0] if before else value.new_zeros(B, self.past, self.width)
        inputs = torch.cat((past, value), dim=1)  # (B, past + T, C)
        mixed = torch.zeros_like(value)
        for tap, weight in enumerate(self.conv_weight[:, 0].to(value.dtype).unbind(dim=1)):
            mixed = torch.addcmul(mixed, inputs.narrow(1, tap, T), weight)
        if cache is not None:
            cache.replace(plan.cached, (self._last_inputs(inputs, plan),))
        out: Tensor = self.conv_out(gate_out * mixed)
        return out

    def _last_inputs(self, inputs: Tensor, plan: AttentionPlan) -> Tensor:
        """Those of each row's last tokens, (B, past, C); padding comes after them."""
        if plan.is_token is None:
            return inputs.narrow(1, inputs.size(1) - self.past, self.past)
        index = plan.is_token.sum(dim=1, keepdim=True)
        index = index + torch.arange(self.past, device=index.device)
        return inputs.gather(1, index[..., None].expand(-1, -1, self.width))


def causal_sum(q: Tensor, k: Tensor, v: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
    """For each token t: q_t · (Σ k_s v_sᵀ over all s up to t), and that sum after the last token.

    q (B, H, T, D), k (B, Hkv, T, D), v (B, Hkv, T, E), `past` and the sum (B, Hkv, D, E). What
    came before a chunk is one sum, and only within it pairs are formed: time and memory are O(T)
    (Katharopoulos et al. 2020, section 3.3, in chunks as in Hua et al. 2022, arXiv 2202.10447).
    """
    B, heads, T, D = k.shape
    if T == 1:
        past = k.transpose(-1, -2) @ v if past is None else past + k.transpose(-1, -2) @ v
        return (q.view(B, heads, -1, D) @ past).view(B, -1, 1, v.size(-1)), past
    size = min(T, CHUNK)
    q, k, v = (torch.unflatten(F.pad(x, (0, 0, 0, -T % size)), 2, (-1, size)) for x in (q, k, v))
    q = torch.unflatten(q, 1, (heads, -1))  # (B, Hkv, G, chunks, size, D)
    if past is None:
        past = k.new_zeros(B, heads, D, v.size(-1))
    chunk_sums = k.transpose(-1, -2) @ v  # (B, Hkv, chunks, D, E)
    sums = torch.cat((past[:, :, None], chunk_sums), dim=2).cumsum(dim=2)
    pairs = (q @ k.transpose(-1, -2)[:, :, None]).tril()  # (B, Hkv, G, chunks, size, size)
    y = pairs @ v[:, :, None] + q @ sums[:, :, None, :-1]
    return y.flatten(3, 4)[:, :, :, :T].flatten(1, 2), sums[:, :, -1]
