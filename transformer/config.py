"""`ModelConfig`: all that defines a model, as one frozen value that is saved with the weights.

A config that exists can be built: contradictions are refused when it is made, in words that name
the settings and what to pick instead (rules.py). This file does not import torch, so that settings
can be checked and shown at once; the tables that turn a name into code stand beside that code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from transformer.rules import DERIVED, RANGES, RULES, Rule, either

Position = Literal["none", "learned", "sinusoidal", "relative", "rope"]
Pattern = Literal["full", "local", "dilated", "chunked", "global_local", "bigbird"]
Attention = Literal["grouped", "linear", "latent"]
FeedForward = Literal["relu", "leaky_relu", "silu", "gelu", "gelu_tanh", "swiglu"]
Norm = Literal["layer", "rms", "batch"]
Placement = Literal["pre", "post"]


class ConfigError(ValueError):
    """A setting is unknown, out of range, or contradicts another; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape and the choices of one decoder.

    What is left at 0 or None is worked out and saved as what it became: `kv_heads` half of `heads`
    (where that is even), `head_size` the width shared by the heads, `hidden` the usual multiple of
    `width`, `qkv_bias` as `bias`, and what a pattern or attention needs: `window` a quarter of
    `block`, `dilation` 2, `global_tokens` 1, `random_blocks` 3, `pattern_block` 64, `query_latent`
    half of `width`, `kv_latent` four heads, `rope_head` half a head. Where the chosen pattern or
    attention does not use one of these, it stays 0.
    """

    vocab_size: int
    block: int = 256  # most tokens that can be looked at together
    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 0  # heads of keys and values: `heads` is multi-head, 1 is multi-query
    head_size: int = 0  # D, the numbers of one head
    hidden: int = 0  # inner width of the feed-forward
    conv_kernel: int = 1  # tokens whose embeddings are mixed into one (convolution.py); 1: its own
    dropout: float = 0.1  # of the embedding and of what each branch adds; training only
    position: Position = "rope"
    pattern: Pattern = "full"
    window: int = 0  # tokens that a token sees back, itself included; of chunked, the chunk
    dilation: int = 0  # of what it sees back, every so manieth
    global_tokens: int = 0  # the first so many tokens are seen by all
    random_blocks: int = 0  # BigBird's random links of a block, and …
    pattern_block: int = 0  # … the tokens of a block
    attention: Attention = "grouped"
    query_latent: int = 0  # width from which latent attention makes its queries, …
    kv_latent: int = 0  # … its keys and values, …
    rope_head: int = 0  # … and size of the key, shared by all heads, that knows its position
    feedforward: FeedForward = "swiglu"
    norm: Norm = "rms"
    placement: Placement = "pre"
    bias: bool = False  # in every linear layer and in LayerNorm
    qkv_bias: bool | None = None  # in the layer that makes queries, keys and values
    qk_norm: bool = False  # norm each head of queries and keys, as Qwen3 does
    tied: bool = True  # the head reuses the embedding
    rope_base: float = 10_000.0
    rope_factor: float = 1.0  # Llama 3's way to a longer context: slow turns slower by so much
    rope_low: float = 1.0  # … those that turn less than this often in `rope_original` tokens
    rope_high: float = 4.0  # … and not those that turn more often than this
    rope_original: int = 8192  # the context that the model was first trained with
    relative_buckets: int = 32  # of distances: half of them one short distance each
    max_relative_distance: int = 128  # from here on all distances share a bucket
    norm_eps: float = 1e-5
    padding_id: int = 0  # the row an input of -1 is looked up in; which one does not matter
    laboratory: bool = False  # allows what teaches something, but is no way to train a decoder

    def __post_init__(self) -> None:
        for name, kind in _kinds().items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), kind))
        _refuse(self, RANGES)
        for name, derived in DERIVED.items():
            if not getattr(self, name):
                object.__setattr__(self, name, derived(self))
        _refuse(self, RULES)

    @property
    def rotary(self) -> int:
        """How many numbers of a head are turned by position rope."""
        return self.rope_head or self.head_size

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`; an unknown or missing setting is a `ConfigError`."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                raise ConfigError(f"unknown model setting {name!r}: {hint}")
        if "vocab_size" not in values:
            raise ConfigError("vocab_size is missing: set it to the size of the tokenizer")
        return cls(**values)


@cache
def _kinds() -> dict[str, Any]:
    return get_type_hints(ModelConfig)


def _checked(name: str, value: object, kind: Any) -> object:
    """`value` as `kind` (a type, a type or None, or a `Literal`), or a `ConfigError`."""
    if isinstance(kind, UnionType):
        if value is None:
            return None
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ConfigError(f"{name} {value!r} is unknown: pick {either(get_args(kind))}")
        return value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(f"{name} must be {_A[kind]}, not {value!r}")
    return value


_A = {int: "a whole number", float: "a number", bool: "true or false"}


def _refuse(config: ModelConfig, rules: tuple[Rule, ...]) -> None:
    for holds, advice in rules:
        if not holds(config):
            raise ConfigError(advice(config))
