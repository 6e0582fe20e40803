"""`ModelConfig`: all that defines a model, as one frozen value that is saved with the weights.

A config that exists can be built: contradictions are refused when it is made, in words that name
the settings and what to pick instead. This file does not import torch, so that settings can be
checked and shown at once; the tables that turn a name into code stand beside that code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

Position = Literal["none", "learned", "sinusoidal", "relative", "rope"]
Pattern = Literal["full"]
Attention = Literal["grouped"]
FeedForward = Literal["relu", "leaky_relu", "silu", "gelu", "gelu_tanh", "swiglu"]
Norm = Literal["layer", "rms", "batch"]
Placement = Literal["pre", "post"]

GATED = frozenset({"swiglu"})  # feed-forwards with a second, multiplying input matrix


class ConfigError(ValueError):
    """A setting is unknown, out of range, or contradicts another; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape and the choices of one decoder.

    What is left at 0 or None is worked out and saved as what it became: `kv_heads` half of `heads`
    (where that is even), `head_size` the width shared by the heads, `hidden` the usual multiple of
    `width`, `qkv_bias` as `bias`.
    """

    vocab_size: int
    block: int = 256  # most tokens that can be looked at together
    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 0  # heads of keys and values: `heads` is multi-head, 1 is multi-query
    head_size: int = 0  # D, the numbers of one head
    hidden: int = 0  # inner width of the feed-forward
    dropout: float = 0.1  # of the embedding and of what each branch adds; training only
    position: Position = "rope"
    pattern: Pattern = "full"
    attention: Attention = "grouped"
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
        _refuse(self, _RANGES)
        for name, derived in _DERIVED.items():
            if not getattr(self, name):
                object.__setattr__(self, name, derived(self))
        _refuse(self, _RULES)

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
            raise ConfigError(f"{name} {value!r} is unknown: pick {_either(get_args(kind))}")
        return value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(f"{name} must be {_A[kind]}, not {value!r}")
    return value


_A = {int: "a whole number", float: "a number", bool: "true or false"}


def _either(choices: tuple[object, ...]) -> str:
    *others, last = (str(choice) for choice in choices)
    return f"{', '.join(others)} or {last}" if others else last


def _default_kv_heads(config: ModelConfig) -> int:
    return config.heads if config.heads % 2 else config.heads // 2


def _default_hidden(config: ModelConfig) -> int:
    """4 C; with a gate 8/3 C, so that the size stays the same, in whole 64s for fast products."""
    if config.feedforward not in GATED:
        return 4 * config.width
    return -(-8 * config.width // (3 * 64)) * 64


_DERIVED: Mapping[str, Callable[[ModelConfig], int | bool]] = {
    "kv_heads": _default_kv_heads,
    "head_size": lambda c: c.width // c.heads,
    "hidden": _default_hidden,
    "qkv_bias": lambda c: c.qkv_bias is None and c.bias,
}


Rule = tuple[Callable[[ModelConfig], bool], Callable[[ModelConfig], str]]


def _refuse(config: ModelConfig, rules: tuple[Rule, ...]) -> None:
    for holds, advice in rules:
        if not holds(config):
            raise ConfigError(advice(config))


def _at_least(least: int, *names: str) -> tuple[Rule, ...]:
    return tuple(
        (
            lambda c, name=name: getattr(c, name) >= least,
            lambda c, name=name: f"{name} {getattr(c, name)} is too small: pick {least} or more",
        )
        for name in names
    )


def _nearest_divisor(number: int, wanted: int) -> int:
    return min((n for n in range(1, number + 1) if number % n == 0), key=lambda n: abs(n - wanted))


def _nearest_multiple(number: int, of: int) -> int:
    return max(round(number / of), 1) * of


_RANGES: tuple[Rule, ...] = (
    *_at_least(1, "vocab_size", "block", "width", "layers", "heads", "rope_original"),
    *_at_least(2, "relative_buckets"),
    *_at_least(0, "kv_heads", "head_size", "hidden"),
    (
        lambda c: c.head_size > 0 or c.width % c.heads == 0,
        lambda c: (
            f"width {c.width} cannot be shared by heads {c.heads}: pick width "
            f"{_nearest_multiple(c.width, c.heads)}, heads {_nearest_divisor(c.width, c.heads)} "
            "or a head_size"
        ),
    ),
    (
        lambda c: 0 <= c.dropout < 1,
        lambda c: f"dropout {c.dropout} is no share: pick 0 or more, and less than 1",
    ),
    (
        lambda c: 0 < c.rope_base < float("inf"),
        lambda c: f"rope_base {c.rope_base} must be above 0: 10000 is usual",
    ),
    (
        lambda c: 0 < c.norm_eps < 1,
        lambda c: f"norm_eps {c.norm_eps} must lie between 0 and 1: 1e-5 is usual",
    ),
    (
        lambda c: 1 <= c.rope_factor < float("inf"),
        lambda c: f"rope_factor {c.rope_factor} must be 1 or more: 1 changes nothing",
    ),
    (
        lambda c: 0 < c.rope_low < c.rope_high < float("inf"),
        lambda c: (
            f"rope_low {c.rope_low} and rope_high {c.rope_high} must be above 0 and in this order: "
            "1 and 4 are Llama 3's"
        ),
    ),
    (
        lambda c: c.max_relative_distance > c.relative_buckets // 2,
        lambda c: (
            f"max_relative_distance {c.max_relative_distance} leaves half of relative_buckets "
            f"{c.relative_buckets} without a distance: pick {c.relative_buckets // 2 + 1} or more"
        ),
    ),
    (
        lambda c: 0 <= c.padding_id < c.vocab_size,
        lambda c: (
            f"padding_id {c.padding_id} is outside vocab_size {c.vocab_size}: "
            f"pick 0 to {c.vocab_size - 1}"
        ),
    ),
)


_RULES: tuple[Rule, ...] = (
    (
        lambda c: c.heads % c.kv_heads == 0,
        lambda c: (
            f"heads {c.heads} cannot be grouped over kv_heads {c.kv_heads}: pick kv_heads "
            f"{_nearest_divisor(c.heads, c.kv_heads)}"
        ),
    ),
    (
        lambda c: c.position != "rope" or c.head_size % 2 == 0,
        lambda c: (
            f"position rope turns pairs, but head_size {c.head_size} (width over heads, where it "
            f"is not set) is odd: pick head_size {c.head_size + 1} or another position"
        ),
    ),
    (
        lambda c: c.position != "sinusoidal" or c.width % 2 == 0,
        lambda c: (
            f"position sinusoidal needs pairs, but width {c.width} is odd: "
            f"pick width {c.width + 1} or another position"
        ),
    ),
    (
        lambda c: c.norm != "batch" or c.laboratory,
        lambda c: (
            "norm batch lets every token of a batch see all others in training, later ones and "
            "other rows' too, and padding spoils its statistics (in evaluation they are fixed): "
            "pick norm layer or rms, or laboratory true to study it"
        ),
    ),
)
