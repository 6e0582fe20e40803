"""ids ⇄ logits: a decoder-only transformer whose variants are choices, not copies.

Read the files in this order; each adds one idea:

    config.py       what defines a model, and which choices contradict each other
    positions.py    how a token knows where it is
    patterns.py     who may see whom
    view.py         the two above, worked out once for a pass and shared by all layers
    linear.py       a matrix product that is also fast for a single token
    attention.py    how tokens exchange information
    feedforward.py  what is computed at each token alone
    norms.py        how the scale of activations is kept
    block.py        one layer: attention, feed-forward, norms and residuals
    decoder.py      the model: embedding, layers, head
    cache.py        what is kept of the past, so that a new token costs one token
    sampling.py     from logits to the next id
    generate.py     one id after another (`from transformer.generate import generate`)
    batched.py      the same for several prompts at once
    io.py           a model as a folder
    presets.py      sizes with a name
    convert.py      a decoder made into one with a smaller cache
    describe.py     what a decoder is made of (`python -m transformer describe gpt2`)

Shapes are written with the same letters everywhere: B batch, T tokens of this pass, S tokens that
can be looked at (those in the cache and those of this pass), C width, H heads (Hkv of keys and
values), D size of a head, V vocabulary.

Importing this package does not import torch: configs and presets are plain values.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from transformer.config import ConfigError, ModelConfig
from transformer.presets import preset

if TYPE_CHECKING:
    from transformer.cache import Cache
    from transformer.decoder import Decoder
    from transformer.io import WeightsError, load, save
    from transformer.sampling import Sampling

__all__ = [
    "Cache",
    "ConfigError",
    "Decoder",
    "ModelConfig",
    "Sampling",
    "WeightsError",
    "load",
    "preset",
    "save",
]

_LAZY = {
    "Cache": "cache",
    "Decoder": "decoder",
    "Sampling": "sampling",
    "WeightsError": "io",
    "load": "io",
    "save": "io",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
