"""Who may see whom: a pure function of absolute positions.

Because it knows nothing of passes, padding or caches, training in one pass and decoding from a
cache cannot disagree about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from transformer.config import ModelConfig


@dataclass(frozen=True)
class Pattern:
    """`sees(q_at, k_at)`: may the token at q_at see the one at k_at? Broadcasts, gives booleans.

    `whole_past` promises that the answer is k_at <= q_at, so that no mask needs to be built.
    """

    sees: Callable[[Tensor, Tensor], Tensor]
    whole_past: bool = False


def _past(q_at: Tensor, k_at: Tensor) -> Tensor:
    return k_at <= q_at


def _full(config: ModelConfig) -> Pattern:
    return Pattern(_past, whole_past=True)


PATTERNS: Mapping[str, Callable[[ModelConfig], Pattern]] = {"full": _full}
