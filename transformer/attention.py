"""Softmax attention: how tokens exchange information.

A mixer is a module `mixer(x, plan, cache)` over x (B, T, C), with `new_cache(pattern)` for what it
keeps of the past, which no other part looks into, and `cache_size(tokens, pattern)` for how much
that is. This is the usual one; latent.py and recurrent.py hold the others, block.py their table.
"""

from __future__ import annotations

from torch import Tensor, nn

from transformer.attention_plan import AttentionPlan
from transformer.cache import LayerKVCache
from transformer.config import ModelConfig
from transformer.layers import Linear, QKNorm
from transformer.patterns import Pattern


class GroupedQueryAttention(nn.Module):
    """Heads of queries in groups, each group sharing one head of keys and values.

    As many groups as heads is multi-head attention (Vaswani et al. 2017), one group is multi-query
    (Shazeer 2019, arXiv 1911.02150), between them lies grouped-query (Ainslie et al. 2023, arXiv
    2305.13245). Attention weights have no dropout: no fused kernel does that on the CPU.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_size = config.heads, config.kv_heads, config.head_size
        self.block, self.scale = config.block, config.attention_scale or None
        qkv_size = (config.heads + 2 * config.kv_heads) * config.head_size
        self.qkv = Linear(config.width, qkv_size, bias=bool(config.qkv_bias))
        self.qk_norm = QKNorm(config) if config.qk_norm else nn.Identity()
        self.out = Linear(config.heads * config.head_size, config.width, bias=config.bias)

    def new_cache(self, pattern: Pattern) -> LayerKVCache:
        """An empty cache for this layer: keys and values, as far back as the pattern needs them."""
        return LayerKVCache(pattern.ring.limit, self.block)

    def cache_size(self, tokens: int, pattern: Pattern) -> int:
        """How many numbers this layer keeps for `tokens` tokens of one row."""
        return 2 * self.kv_heads * self.head_size * int(min(tokens, pattern.ring.limit))

    def forward(self, x: Tensor, plan: AttentionPlan, cache: LayerKVCache | None = None) -> Tensor:
        qk, v = self.project_qkv(x)
        qk, v = plan.rotate(qk).transpose(1, 2), v.transpose(1, 2)
        q, k = qk.split_with_sizes((self.heads, self.kv_heads), dim=1)  # (B, H or Hkv, T, D)
        if cache is not None:
            k, v = plan.write(cache, k, v)  # (B, Hkv, S, D)
        return self.project_out(plan.attend(q, k, v, self.scale))

    def project_qkv(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Heads of queries and keys (B, T, H + Hkv, D), and of values (B, T, Hkv, D)."""
        B, T, _ = x.shape
        H, Hkv = self.heads, self.kv_heads
        qkv = self.qkv(x).view(B, T, H + 2 * Hkv, -1)
        qk, v = qkv.split_with_sizes((H + Hkv, Hkv), dim=2)
        return self.qk_norm(qk), v

    def project_out(self, y: Tensor) -> Tensor:
        """The results of all heads (B, H, T, D) as one vector a token, (B, T, C)."""
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out
