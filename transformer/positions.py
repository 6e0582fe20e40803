"""How a token knows where it is: each choice acts at one seam and leaves the others as they are.

    embed(x, at)        adds something to the embedding (learned, sinusoidal)
    rotate(at)          turns queries and keys (RoPE)
    bias(q_at, k_at)    adds something to the attention scores (relative)

`at` holds absolute positions, (T,) when all rows share them, else (B, T).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.config import ModelConfig

Rotate = Callable[[Tensor], Tensor]


def _leave(heads: Tensor) -> Tensor:
    return heads


class NoPosition(nn.Module):
    """Order is known from causality alone (Kazemnejad et al. 2023, arXiv 2305.19466).

    Also what the others inherit for the seams at which they do nothing.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def embed(self, x: Tensor, at: Tensor) -> Tensor:
        """The embedded tokens (B, T, C), told their positions."""
        return x

    def rotate(self, at: Tensor) -> Rotate:
        """What turns heads (B, T, H, D) standing at `at`; worked out once for all layers."""
        return _leave

    def bias(self, q_at: Tensor, k_at: Tensor) -> Tensor | None:
        """What is added to the scores: (..., H, T, S), its parts may be 1, for keys at (..., S)."""
        return None


class Learned(NoPosition):
    """A trained vector for each of the `block` positions, as in GPT-2."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.table = nn.Embedding(config.block, config.width)

    def embed(self, x: Tensor, at: Tensor) -> Tensor:
        added: Tensor = x + self.table(at)
        return added


class Tabled(NoPosition):
    """A position with a fixed table, which stays float32 whatever the weights become.

    Rounded once to bfloat16, it would stay rounded when the weights go back to float32.
    """

    table: Tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        exact = self.table
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.table = exact.to(self.table.device)
        return self


class Sinusoidal(Tabled):
    """Fixed waves of geometric wavelengths (Vaswani et al. 2017, arXiv 1706.03762, section 3.5)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        angles = _angles(config.block, config.width, 10_000.0)
        waves = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)  # (block, C)
        self.register_buffer("table", waves, persistent=False)

    def embed(self, x: Tensor, at: Tensor) -> Tensor:
        return x + F.embedding(at, self.table).to(x.dtype)


class Rope(Tabled):
    """Pairs of a head's numbers turned by an angle that grows with the position.

    So that a score depends on the distance alone (Su et al. 2021, arXiv 2104.09864). The pairs are
    (i, i + D/2), as in Llama's published weights, not neighbours as in the paper. With a
    `rope_factor`, slow pairs turn slower still, for contexts longer than `rope_original` (Llama 3,
    arXiv 2407.21783, and `use_scaled_rope` in github.com/meta-llama/llama-models).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        angles = _angles(config.block, config.rotary, config.rope_base, slower(config))
        sin, cos = angles.sin(), angles.cos()
        table = torch.cat((cos, cos, -sin, sin), dim=-1)  # (block, 2 D)
        self.register_buffer("table", table, persistent=False)

    def rotate(self, at: Tensor) -> Rotate:
        cos, sin = F.embedding(at, self.table).unsqueeze(-2).chunk(2, dim=-1)  # (T, 1, D)

        def turn(heads: Tensor) -> Tensor:
            swapped = heads.roll(heads.size(-1) // 2, dims=-1)
            turned = heads * cos.to(heads.dtype)
            return torch.addcmul(turned, swapped, sin.to(heads.dtype))

        return turn


def slower(config: ModelConfig) -> Callable[[Tensor], Tensor]:
    """Llama 3's change of the turn per token: by the factor where a turn takes long, by nothing
    where it is quick, and in between by a share of the two."""

    def change(turn: Tensor) -> Tensor:
        turns = config.rope_original * turn / (2 * math.pi)  # in the first context
        share = (turns - config.rope_low) / (config.rope_high - config.rope_low)
        return torch.lerp(turn / config.rope_factor, turn, share.clamp(0, 1))

    return change


def _angles(
    positions: int, size: int, base: float, change: Callable[[Tensor], Tensor] = lambda turn: turn
) -> Tensor:
    """The angle of each position for each pair, (positions, size / 2).

    `change` is applied to the turn per token. On the CPU whatever the default device: these
    tables are no weights, so a decoder that is built without memory to have its weights put in
    still needs them.
    """
    powers = torch.arange(0, size, 2, dtype=torch.float64, device="cpu") / size
    at = torch.arange(positions, dtype=torch.float64, device="cpu")
    return torch.outer(at, change(base**-powers)).float()


class Relative(NoPosition):
    """A trained number for each head and bucket of distances, the same in all layers.

    As in T5 (Raffel et al. 2020, arXiv 1910.10683, section 2.1), whose decoder looks back only:
    half of the buckets hold one short distance each, the others ever longer spans of them, and the
    last one all that is further.
    """

    buckets: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.table = nn.Embedding(config.relative_buckets, config.heads)
        buckets = bucket_of_distances(config.relative_buckets, config.max_relative_distance)
        self.register_buffer("buckets", buckets, persistent=False)

    def bias(self, q_at: Tensor, k_at: Tensor) -> Tensor:
        """The head axis stands before the last two: (..., H, T, S) from (..., T) and (..., S).

        A key that is ahead gets the bias of distance 0: to hide it is the pattern's business.
        """
        distance = (q_at[..., :, None] - k_at[..., None, :]).clamp(0, self.buckets.numel() - 1)
        return self.table(self.buckets[distance]).movedim(-1, -3)  # type: ignore[no-any-return]


def bucket_of_distances(buckets: int, longest: int) -> Tensor:
    """The bucket of each distance from 0 to `longest`, (longest + 1,).

    On the CPU whatever the default device, as the tables of sines are: it is no weight.
    """
    exact = buckets // 2
    distance = torch.arange(longest + 1, device="cpu")
    # In float32 and in this order, so that no bucket differs from where T5 was trained.
    share = torch.log(distance.float() / exact) / math.log(longest / exact)
    wide = exact + (share.clamp(min=0) * (buckets - exact)).long()
    return distance.where(distance < exact, wide.clamp(max=buckets - 1))


POSITIONS: Mapping[str, Callable[[ModelConfig], NoPosition]] = {
    "none": NoPosition,
    "learned": Learned,
    "sinusoidal": Sinusoidal,
    "relative": Relative,
    "rope": Rope,
}
