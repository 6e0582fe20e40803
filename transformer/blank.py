"""A decoder whose weights are about to be put in: no memory for them, and nothing drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from transformer.config import ModelConfig
from transformer.decoder import Decoder

_DRAWS = frozenset({"normal_", "uniform_", "kaiming_uniform_"})


class _NoDraws(TorchFunctionMode):
    """Leaves tensors as they are where they would be drawn.

    On tensors without memory a draw does nothing, but the first one imports torch's compiler:
    seconds, and 70 MiB.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _DRAWS:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def blank(config: ModelConfig) -> Decoder:
    """The decoder of `config` on torch's device "meta"; `load_state_dict(…, assign=True)` fills it.

    Tables that are no weights are made as always.
    """
    with torch.device("meta"), _NoDraws():
        return Decoder(config)
