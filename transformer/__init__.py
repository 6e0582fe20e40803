"""ids ⇄ logits: a decoder-only transformer whose variants are choices, not copies.

Read the files in this order; each adds one idea:

    config.py       what defines a model
    rules.py        what is worked out, and which choices contradict each other
    positions.py    how a token knows where it is
    patterns.py     who may see whom
    kept.py         what one layer keeps of the past, and where
    padding.py      padding moved out of the way
    cache.py        which tokens are kept, so that a new token costs one token
    scores.py       softmax attention in the cheapest way that the shapes allow
    view.py         all of the above, worked out once for a pass and shared by all layers
    linear.py       a matrix product that is also fast for a single token
    sums.py         causal sums without a score for each pair of tokens
    latent.py       attention with keys and values made from one small vector a token
    attention.py    how tokens exchange information: grouped heads, linear, latent
    feedforward.py  what is computed at each token alone
    norms.py        how the scale of activations is kept
    block.py        one layer: attention, feed-forward, norms and residuals
    decoder.py      the model: embedding, layers, head
    sampling.py     from logits to the next id
    generate.py     one id after another (`from transformer.generate import generate`)
    batched.py      the same for several prompts at once
    blank.py        a decoder to put weights into
    single.py       the same for one token of the usual decoder, in compiled loops (kernels.py)
    graphed.py      the same on a CUDA device, as one launch
    files.py        files that appear whole or not at all
    io.py           a model as a folder
    packages.py     what to type to install what few need
    pretrained/     published weights in this decoder, and this decoder as others publish theirs
    presets.py      sizes with a name
    classifier.py   a decoder with a head that tells classes instead of tokens
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

from transformer import pretrained
from transformer.config import ConfigError, ModelConfig
from transformer.presets import preset

if TYPE_CHECKING:
    from transformer.cache import Cache
    from transformer.decoder import Decoder
    from transformer.files import WeightsError
    from transformer.io import load, save
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
    "pretrained",
    "save",
]

_LAZY = {
    "Cache": "cache",
    "Decoder": "decoder",
    "Sampling": "sampling",
    "WeightsError": "files",
    "load": "io",
    "save": "io",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
