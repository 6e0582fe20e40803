"""Latent attention: keys and values of all heads come from one small vector per token."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.attention_plan import AttentionPlan
from transformer.cache import LayerKVCache
from transformer.config import ModelConfig
from transformer.layers import Linear
from transformer.patterns import Pattern


class LatentAttention(nn.Module):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).

    Queries are computed from a latent of their own. With rotary positions each head has `rope_head`
    more numbers that carry the position; on the side of the keys all heads share them, because
    what was turned cannot be computed from a latent later. The cache holds the latents and this
    shared key.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.block = config.heads, config.block
        self.size, self.turned = config.head_size, config.rope_head
        self.query_latent, self.latent = config.query_latent, config.kv_latent
        size = self.query_latent + self.latent + self.turned
        self.latents = Linear(config.width, size, bias=bool(config.qkv_bias))
        self.query_norm = nn.RMSNorm(self.query_latent, eps=config.norm_eps)
        self.latent_norm = nn.RMSNorm(self.latent, eps=config.norm_eps)
        self.queries = Linear(self.query_latent, self.heads * (self.size + self.turned), bias=False)
        self.keys_values = Linear(self.latent, self.heads * 2 * self.size, bias=False)
        self.out = Linear(self.heads * self.size, config.width, bias=config.bias)

    def new_cache(self, pattern: Pattern) -> LayerKVCache:
        """An empty cache for latents and shared keys, as far back as the pattern needs."""
        return LayerKVCache(pattern.ring.limit, self.block)

    def cache_size(self, tokens: int, pattern: Pattern) -> int:
        """How many numbers this layer keeps for `tokens` tokens of one row."""
        return (self.latent + self.turned) * int(min(tokens, pattern.ring.limit))

    def forward(self, x: Tensor, plan: AttentionPlan, cache: LayerKVCache | None = None) -> Tensor:
        B, T, _ = x.shape
        query, latent, turned = self.latents(x).split_with_sizes(
            (self.query_latent, self.latent, self.turned), dim=-1
        )
        q = self.queries(self.query_norm(query)).view(B, T, self.heads, -1)
        q, turned_q = q.split_with_sizes((self.size, self.turned), dim=-1)
        turned_q, turned = plan.rotate(turned_q), plan.rotate(turned.unsqueeze(2))
        latents = torch.cat((self.latent_norm(latent).unsqueeze(2), turned), dim=-1).transpose(1, 2)
        if cache is not None:
            (latents,) = plan.write(cache, latents)  # (B, 1, S, r + dr)
        attend = self._absorbed if cache is not None and self._absorbs(T) else self._expanded
        out: Tensor = self.out(attend(q, turned_q, latents, plan).flatten(2))
        return out

    def _absorbs(self, T: int) -> bool:
        """Whether it takes less work to score with the latents themselves.

        Computing keys and values costs 2 r D for each head and cached token, longer scores
        2 (r - D) for each of T queries. Not with an adapter around the matrix, which would be
        bypassed.
        """
        return T * (self.latent - self.size) < self.latent * self.size and isinstance(
            self.keys_values, Linear
        )

    def _expanded(
        self, q: Tensor, turned_q: Tensor, latents: Tensor, plan: AttentionPlan
    ) -> Tensor:
        """Heads (B, T, H, D), with keys and values computed from all latents."""
        latent, turned = latents.split_with_sizes((self.latent, self.turned), dim=-1)
        kv = self.keys_values(latent[:, 0]).view(len(q), -1, self.heads, 2 * self.size)
        k, v = kv.transpose(1, 2).chunk(2, dim=-1)  # (B, H, S, D)
        k = torch.cat((k, turned.expand(-1, self.heads, -1, -1)), dim=-1)
        q = torch.cat((q, turned_q), dim=-1).transpose(1, 2)
        # Fused attention wants values as long as keys.
        y: Tensor = plan.attend(q, k, F.pad(v, (0, self.turned)))
        return y[..., : self.size].transpose(1, 2)

    def _absorbed(
        self, q: Tensor, turned_q: Tensor, latents: Tensor, plan: AttentionPlan
    ) -> Tensor:
        """The same with the matrix of the keys multiplied into the queries, and that of the values
        into the result, so that nothing is computed for old tokens (ibid., section 2.1.2)."""
        matrices = self.keys_values.weight.view(self.heads, 2 * self.size, -1)
        k_matrix, v_matrix = matrices.chunk(2, dim=1)  # (H, D, r)
        q = torch.einsum("bthd,hdr->bhtr", q, k_matrix)
        q = torch.cat((q, turned_q.transpose(1, 2)), dim=-1)
        y = plan.attend(q, latents, latents, scale=(self.size + self.turned) ** -0.5)
        return torch.einsum("bhtr,hdr->bthd", y[..., : self.latent], v_matrix)
