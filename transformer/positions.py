"""How a token knows where it is: each choice acts at one seam and leaves the others as they are.

    embed(x, positions)    adds something to the embedding (learned, sinusoidal)
    rotate(positions)      turns queries and keys (RoPE)
    bias(q_pos, k_pos)     adds something to the attention scores (relative)

`positions` are absolute, (T,) when all rows share them, else (B, T).
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


def _identity(heads: Tensor) -> Tensor:
    return heads


class NoPosition(nn.Module):
    """Order is known from causality alone (Kazemnejad et al. 2023, arXiv 2305.19466).

    Also the base class of the others, which inherit the seams at which they do nothing.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """The embedded tokens (B, T, C) with their positions added."""
        return x

    def rotate(self, positions: Tensor) -> Rotate:
        """What turns heads (B, T, H, D) at `positions`; computed once for all layers."""
        return _identity

    def bias(self, q_pos: Tensor, k_pos: Tensor) -> Tensor | None:
        """What is added to the scores, broadcasting to (..., H, T, S), for keys at (..., S)."""
        return None


class Learned(NoPosition):
    """A trained vector for each of the `block` positions, as in GPT-2."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.table = nn.Embedding(config.block, config.width)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        added: Tensor = x + self.table(positions)
        return added


class FixedTable(NoPosition):
    """A position with a fixed table, which stays float32 whatever dtype the weights get.

    Rounded once to bfloat16, it would stay rounded when the weights go back to float32.
    """

    table: Tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        exact = self.table
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.table = exact.to(self.table.device)
        return self


class Sinusoidal(FixedTable):
    """Fixed waves of geometric wavelengths (Vaswani et al. 2017, arXiv 1706.03762, section 3.5)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        angles = _angles(config.block, config.width, 10_000.0)
        waves = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)  # (block, C)
        self.register_buffer("table", waves, persistent=False)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return x + F.embedding(positions, self.table).to(x.dtype)


class Rope(FixedTable):
    """Pairs of a head's numbers turned by an angle that grows with the position.

    A score then depends on the distance alone (Su et al. 2021, arXiv 2104.09864). The pairs are
    (i, i + D/2), as in Llama's published weights, not neighbours as in the paper. With a
    `rope_factor`, slow pairs turn slower still, for contexts longer than `rope_original` (Llama 3,
    arXiv 2407.21783, and `use_scaled_rope` in github.com/meta-llama/llama-models).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        angles = _angles(config.block, config.rotary, config.rope_base, llama3_scaling(config))
        sin, cos = angles.sin(), angles.cos()
        table = torch.cat((cos, cos, -sin, sin), dim=-1)  # (block, 2 D)
        self.register_buffer("table", table, persistent=False)

    def rotate(self, positions: Tensor) -> Rotate:
        cos, sin = F.embedding(positions, self.table).unsqueeze(-2).chunk(2, dim=-1)  # (T, 1, D)

        def turn(heads: Tensor) -> Tensor:
            swapped = heads.roll(heads.size(-1) // 2, dims=-1)
            turned = heads * cos.to(heads.dtype)
            return torch.addcmul(turned, swapped, sin.to(heads.dtype))

        return turn


def llama3_scaling(config: ModelConfig) -> Callable[[Tensor], Tensor]:
    """Llama 3's change of the angle per token: divided by the factor where a full turn takes many
    tokens, unchanged where it takes few, and interpolated in between."""

    def scale(angle: Tensor) -> Tensor:
        turns = config.rope_original * angle / (2 * math.pi)  # in the first context
        fast = (turns - config.rope_low) / (config.rope_high - config.rope_low)
        return torch.lerp(angle / config.rope_factor, angle, fast.clamp(0, 1))

    return scale


def _angles(
    length: int, size: int, base: float, scale: Callable[[Tensor], Tensor] = lambda angle: angle
) -> Tensor:
    """The angle of each position for each pair, (length, size / 2).

    `scale` is applied to the angle per token. On the CPU whatever the default device: these tables
    are not weights, so a decoder that is built on the meta device still needs them.
    """
    powers = torch.arange(0, size, 2, dtype=torch.float64, device="cpu") / size
    positions = torch.arange(length, dtype=torch.float64, device="cpu")
    return torch.outer(positions, scale(base**-powers)).float()


class Relative(NoPosition):
    """A trained number for each head and bucket of distances, the same in all layers.

    As in T5 (Raffel et al. 2020, arXiv 1910.10683, section 2.1), whose decoder looks back only:
    half of the buckets hold one short distance each, the others ever longer spans, and the last one
    all that is further.
    """

    buckets: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.table = nn.Embedding(config.relative_buckets, config.heads)
        buckets = bucket_of_distances(config.relative_buckets, config.max_relative_distance)
        self.register_buffer("buckets", buckets, persistent=False)

    def bias(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        """The head axis stands before the last two: (..., H, T, S) from (..., T) and (..., S).

        A key that is ahead gets the bias of distance 0: hiding it is up to the pattern.
        """
        distance = (q_pos[..., :, None] - k_pos[..., None, :]).clamp(0, self.buckets.numel() - 1)
        return self.table(self.buckets[distance]).movedim(-1, -3)  # type: ignore[no-any-return]


def bucket_of_distances(buckets: int, max_distance: int) -> Tensor:
    """The bucket of each distance from 0 to `max_distance`, (max_distance + 1,).

    On the CPU whatever the default device, as the tables of sines are: it is not a weight.
    """
    exact = buckets // 2
    distance = torch.arange(max_distance + 1, device="cpu")
    # In float32 and in this order, so that no bucket differs from where T5 was trained.
    fraction = torch.log(distance.float() / exact) / math.log(max_distance / exact)
    wide = exact + (fraction.clamp(min=0) * (buckets - exact)).long()
    return distance.where(distance < exact, wide.clamp(max=buckets - 1))


POSITIONS: Mapping[str, Callable[[ModelConfig], NoPosition]] = {
    "none": NoPosition,
    "learned": Learned,
    "sinusoidal": Sinusoidal,
    "relative": Relative,
    "rope": Rope,
}
