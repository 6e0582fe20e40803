"""ids ⇄ logits: a decoder-only transformer whose variants are choices, not copies.

Read the files in this order; each adds one idea:

    hyperparameters.py  what can be chosen about a decoder, and the defaults
    constraints.py      which choices contradict each other
    config.py           `ModelConfig`: the choices, complete and checked
    decoder.py          the model: embedding, layers, head
    block.py            one layer: mixer, feed-forward, norms and residuals
    attention.py        softmax attention with grouped heads
    positions.py        how a token knows where it is
    patterns.py         who may see whom
    cache.py            what is kept of the past, so that a new token costs one token
    attention_plan.py   all of the above, worked out once for a pass and shared by all layers
    softmax.py          softmax attention in the cheapest way that the shapes allow
    layers.py           the primitive layers: matrix products and norms
    latent.py           attention with keys and values from one small vector per token
    recurrent.py        mixers whose memory has a constant size
    generate.py         from logits to the next id, and one id after another
    batched.py          the same for several prompts together
    fast/               the compiled path: one token after another, on a CPU or a CUDA device
    io.py               a model as a folder
    packages.py         commands to type, as messages show them
    pretrained/         published weights in this decoder, and this decoder as others publish theirs
    presets.py          sizes with a name
    classifier.py       a decoder with a head for classes instead of tokens
    convert.py          a decoder converted into another shape
    describe.py         what a decoder consists of (`python -m transformer describe gpt2`)

Shapes are written with the same letters everywhere: B batch, T tokens of this pass, S tokens that
can be looked at (those in the cache and those of this pass), C width, H heads (Hkv of keys and
values), D size of a head, V vocabulary.

Importing this package does not import torch: configs and presets are plain values.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from transformer import pretrained
from transformer.config import ConfigError, ModelConfig
from transformer.presets import preset

if TYPE_CHECKING:
    from transformer.cache import Cache
    from transformer.decoder import Decoder
    from transformer.generate import Sampling
    from transformer.io import WeightsError, load, save

__all__ = [
    "Cache",
    "ConfigError",
    "Decoder",
    "ModelConfig",
    "Sampling",
    "WeightsError",
    "load",
    "preset",
    "pretrained",
    "save",
]

_LAZY = {
    "Cache": "cache",
    "Decoder": "decoder",
    "Sampling": "generate",
    "WeightsError": "io",
    "load": "io",
    "save": "io",
}


def __getattr__(name: str) -> object:
    """Import what needs torch when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
