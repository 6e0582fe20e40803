"""`ModelConfig`: all that defines a model, as one frozen value that is saved with the weights.

A config that exists can be built: contradictions are refused when it is made, in words that name
the settings and what to pick instead (constraints.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import Literal, get_args, get_origin, get_type_hints

from transformer.constraints import RANGES, RULES, either, first_violation
from transformer.hyperparameters import DEFAULTS, Hyperparameters


class ConfigError(ValueError):
    """A setting is unknown, out of range, or contradicts another; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Hyperparameters):
    """The shape and the choices of one decoder (hyperparameters.py), complete and checked.

    What is left at 0 or None is filled in, and saved as what it became: `kv_heads` half of `heads`
    (where that is even), `head_size` the width divided by the heads, `hidden` the usual multiple of
    `width`, `qkv_bias` as `bias`, and what a pattern or attention needs: `window` a quarter of
    `block`, `dilation` 2, `global_tokens` 1, `random_blocks` 3, `pattern_block` 64, `query_latent`
    half of `width`, `kv_latent` four heads, `rope_head` half a head. Where the chosen pattern or
    attention does not use one of these, it stays 0. Raises `ConfigError`.
    """

    def __post_init__(self) -> None:
        for name, kind in _types().items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), kind))
        violation = first_violation(self, RANGES)
        if violation is None:
            for name, default in DEFAULTS.items():
                if not getattr(self, name):
                    object.__setattr__(self, name, default(self))
            violation = first_violation(self, RULES)
        if violation is not None:
            raise ConfigError(violation)

    def to_dict(self) -> dict[str, object]:
        """As JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> ModelConfig:
        """The inverse of `to_dict`; an unknown or missing setting is a `ConfigError`."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                raise ConfigError(f"unknown model setting {name!r}: {hint}")
        if "vocab_size" not in values:
            raise ConfigError("vocab_size is missing: set it to the size of the tokenizer")
        return cls(**values)  # type: ignore[arg-type]  # checked in `__post_init__`


@cache
def _types() -> dict[str, object]:
    return get_type_hints(Hyperparameters)


def _checked(name: str, value: object, kind: object) -> object:
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
        raise ConfigError(f"{name} must be {_IN_WORDS[kind]}, not {value!r}")
    return value


_IN_WORDS: Mapping[object, str] = {int: "a whole number", float: "a number", bool: "true or false"}
