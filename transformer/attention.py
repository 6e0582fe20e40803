"""How tokens exchange information. An attention owns what it caches; no other part knows it.

Each is a module `attention(x, view, cache)` over x (B, T, C) with a method `new_cache()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from transformer.cache import KeyValues
from transformer.config import ModelConfig
from transformer.linear import Linear
from transformer.norms import HeadNorm
from transformer.view import View


class Grouped(nn.Module):
    """Heads of queries in groups, each group sharing one head of keys and values.

    As many groups as heads is multi-head attention (Vaswani et al. 2017), one group is multi-query
    (Shazeer 2019, arXiv 1911.02150), between them lies grouped-query (Ainslie et al. 2023, arXiv
    2305.13245). Attention weights are not dropped out: no fused kernel does that on the CPU.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_size = config.heads, config.kv_heads, config.head_size
        together = (config.heads + 2 * config.kv_heads) * config.head_size
        self.qkv = Linear(config.width, together, bias=bool(config.qkv_bias))
        self.qk_norm = HeadNorm(config) if config.qk_norm else nn.Identity()
        self.out = Linear(config.heads * config.head_size, config.width, bias=config.bias)

    def new_cache(self) -> KeyValues:
        """An empty cache for this layer."""
        return KeyValues()

    def cache_size(self, tokens: int) -> int:
        """How many numbers this layer keeps of so many tokens of one row."""
        return 2 * self.kv_heads * self.head_size * tokens

    def forward(self, x: Tensor, view: View, cache: KeyValues | None = None) -> Tensor:
        B, T, _ = x.shape
        H, Hkv = self.heads, self.kv_heads
        qkv = self.qkv(x).view(B, T, H + 2 * Hkv, -1)  # (B, T, H + 2 Hkv, D)
        qk, v = qkv.split_with_sizes((H + Hkv, Hkv), dim=2)
        qk, v = view.rotate(self.qk_norm(qk)).transpose(1, 2), v.transpose(1, 2)
        q, k = qk.split_with_sizes((H, Hkv), dim=1)  # (B, H, T, D), (B, Hkv, T, D)
        if cache is not None:
            k, v = cache.put(view.start, k, v)  # (B, Hkv, S, D)
        y = attend(q, k, v, view)
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out


def attend(q: Tensor, k: Tensor, v: Tensor, view: View) -> Tensor:
    """softmax(q kᵀ / √D) v under the view's mask; q (B, H, T, D), k and v (B, Hkv, S, D)."""
    return F.scaled_dot_product_attention(
        q, k, v, view.mask, is_causal=view.causal, enable_gqa=q.size(1) != k.size(1)
    )


ATTENTIONS: Mapping[str, Callable[[ModelConfig], Grouped]] = {"grouped": Grouped}
