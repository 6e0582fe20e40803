"""How tokens exchange information. An attention owns what it keeps; no other part knows it.

Each is a module `attention(x, view, cache)` over x (B, T, C) with a method `new_cache(pattern)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.kept import Kept
from transformer.latent import Latent
from transformer.linear import Linear
from transformer.norms import HeadNorm
from transformer.patterns import Pattern
from transformer.sums import running
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
        self.block = config.block
        together = (config.heads + 2 * config.kv_heads) * config.head_size
        self.qkv = Linear(config.width, together, bias=bool(config.qkv_bias))
        self.qk_norm = HeadNorm(config) if config.qk_norm else nn.Identity()
        self.out = Linear(config.heads * config.head_size, config.width, bias=config.bias)

    def new_cache(self, pattern: Pattern) -> Kept:
        """An empty cache for this layer: keys and values, as far as the pattern needs them."""
        return Kept(pattern.ring.limit, self.block)

    def cache_size(self, tokens: int, pattern: Pattern) -> int:
        """How many numbers this layer keeps of so many tokens of one row."""
        return 2 * self.kv_heads * self.head_size * int(min(tokens, pattern.ring.limit))

    def forward(self, x: Tensor, view: View, cache: Kept | None = None) -> Tensor:
        qk, v = self.made(x)
        qk, v = view.rotate(qk).transpose(1, 2), v.transpose(1, 2)
        q, k = qk.split_with_sizes((self.heads, self.kv_heads), dim=1)  # (B, H or Hkv, T, D)
        if cache is not None:
            k, v = view.keep(cache, k, v)  # (B, Hkv, S, D)
        return self.given(view.attend(q, k, v))

    def made(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Heads of queries and keys (B, T, H + Hkv, D), and of values (B, T, Hkv, D)."""
        B, T, _ = x.shape
        H, Hkv = self.heads, self.kv_heads
        qkv = self.qkv(x).view(B, T, H + 2 * Hkv, -1)
        qk, v = qkv.split_with_sizes((H + Hkv, Hkv), dim=2)
        return self.qk_norm(qk), v

    def given(self, y: Tensor) -> Tensor:
        """What the heads (B, H, T, D) found, (B, T, C)."""
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out


class Summed(Grouped):
    """Linear attention: φ(q)ᵀφ(k) with φ = elu + 1 instead of a softmax (Katharopoulos et al. 2020,
    arXiv 2006.16236), so that the past is two sums of constant size and time grows with T alone.

    A rotary position turns the features in the numerator only, as in RoFormer (arXiv 2104.09864,
    equation 19): turned ones can be negative, and a denominator must not come near 0. The sums are
    made in float32 whatever the weights are.
    """

    def new_cache(self, pattern: Pattern) -> Kept:
        """An empty cache for this layer: the two sums, out of which no token can be taken."""
        return Kept(limit=0)

    def cache_size(self, tokens: int, pattern: Pattern) -> int:
        """The same for any number of tokens; they are float32 whatever the weights are."""
        return self.kv_heads * self.head_size * (self.head_size + 1)

    def forward(self, x: Tensor, view: View, cache: Kept | None = None) -> Tensor:
        qk, v = self.made(x)
        heads = (self.heads, self.kv_heads)
        with torch.autocast(x.device.type, enabled=False):
            qk = F.elu(qk.float()) + 1
            if view.real is not None:
                qk = qk * view.real[..., None, None]  # padding adds nothing to the sums
            turned_q, turned_k = view.rotate(qk).transpose(1, 2).split_with_sizes(heads, dim=1)
            q, k = qk.transpose(1, 2).split_with_sizes(heads, dim=1)  # (B, H or Hkv, T, D)
            v = v.transpose(1, 2).float()
            above, below = (None, None) if cache is None else cache.when(view.held) or (None, None)
            y, above = running(turned_q, turned_k, v, above)
            total, below = running(q, k, torch.ones_like(v[..., :1]), below)
            if cache is not None:
                cache.replace(view.held, (above, below))
            y = y / total.clamp(min=1e-6)
        return self.given(y.to(x.dtype))


Attention = Grouped | Latent
ATTENTIONS: Mapping[str, Callable[[ModelConfig], Attention]] = {
    "grouped": Grouped,
    "linear": Summed,
    "latent": Latent,
}
