"""`ModelConfig`: all that defines a model, as one frozen value that is saved with the weights.

A config that exists can be built: contradictions are refused when it is made, with a message that
names the settings and what to pick instead (constraints.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from functools import cache
from types import NoneType
from typing import Literal, get_args, get_origin, get_type_hints

from transformer.constraints import RANGES, RULES, either, first_violation
from transformer.hyperparameters import DEFAULTS, USED_BY, Hyperparameters, LayerType

# Later settings are written only when not the default, so that older files do not change.
LATER = ("layer_types", "mixer_kernel", "embedding_scale", "attention_scale")


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
        for name, kind in _types(Hyperparameters).items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), kind))
        violation = first_violation(self, RANGES)
        if violation is None:
            for name, default in DEFAULTS.items():
                if not getattr(self, name):
                    object.__setattr__(self, name, default(self))
            violation = first_violation(self, RULES)
        if violation is not None:
            raise ConfigError(violation)
        object.__setattr__(self, "layer_types", _canonical(self))

    def layer(self, index: int) -> ModelConfig:
        """The config of one layer: this one, with what its type changes."""
        if not self.layer_types:
            return self
        return layer_config(self, self.layer_types[index % len(self.layer_types)])

    def slice(self, start: int, stop: int) -> ModelConfig:
        """The config of the layers from `start` to before `stop` alone."""
        types = self.layer_types
        kept = tuple(types[index % len(types)] for index in range(start, stop)) if types else ()
        return replace(self, layers=stop - start, layer_types=kept)

    def to_dict(self) -> dict[str, object]:
        """As JSON types."""
        values: dict[str, object] = asdict(self)
        for field in fields(self):
            if field.name in LATER and getattr(self, field.name) == field.default:
                del values[field.name]
        if self.layer_types:
            values["layer_types"] = [_changes(layer_type) for layer_type in self.layer_types]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> ModelConfig:
        """The inverse of `to_dict`; an unknown or missing setting is a `ConfigError`."""
        _refuse_unknown("model setting", values, [field.name for field in fields(cls)])
        if "vocab_size" not in values:
            raise ConfigError("vocab_size is missing: set it to the size of the tokenizer")
        return cls(**values)  # type: ignore[arg-type]  # checked in `__post_init__`


# What a layer of another attention cannot take over from the model.
_RESET: Mapping[str, Mapping[str, object]] = {
    "latent": {"kv_heads": 0, "qk_norm": False},
    "linear": {"pattern": "full"},
    "short_conv": {"pattern": "full", "position": "none"},
}


@cache
def layer_config(config: ModelConfig, layer_type: LayerType) -> ModelConfig:
    """`config` with the changes of a layer type; what only other choices use is reset.

    Raises `ConfigError` where the layer's settings contradict each other.
    """
    changes = _changes(layer_type)
    if changes.get("attention", config.attention) != config.attention:
        changes = {**_RESET.get(str(changes["attention"]), {}), **changes}
    unused = {
        name: 0
        for name, (choice, users) in USED_BY.items()
        if changes.get(choice, getattr(config, choice)) not in users
    }
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    layer = ModelConfig(**{**values, **unused, **changes, "layer_types": ()})
    if layer.position != "rope" and {"rope_base", "rope_factor"} & changes.keys():
        raise ConfigError(
            f"rope_base and rope_factor mean nothing with position {layer.position}: "
            "leave them out, or pick position rope"
        )
    return layer


def _canonical(config: ModelConfig) -> tuple[LayerType, ...]:
    """The layer types, each with its differences from the model alone, as the shortest cycle."""
    if not config.layer_types:
        return ()
    plain, types = replace(config, layer_types=()), []
    for index, layer_type in enumerate(config.layer_types):
        try:
            layer = layer_config(plain, layer_type)
        except ConfigError as error:
            raise ConfigError(f"layer_types, entry {index}: {error}") from None
        names = [field.name for field in fields(LayerType)]
        differs = {n: getattr(layer, n) for n in names if getattr(layer, n) != getattr(config, n)}
        types.append(LayerType(**differs))
    if config.position == "relative" and all(t.position is not None for t in types):
        raise ConfigError(
            "position relative has weights that no layer in layer_types uses: pick position rope "
            "or none, or leave position out of one entry"
        )
    taken_in_turn = range(min(config.layers, 2 * len(types)))  # a longer list has no other cycle
    return shortest_cycle([types[index % len(types)] for index in taken_in_turn])


def shortest_cycle(types: Sequence[LayerType]) -> tuple[LayerType, ...]:
    """The fewest layer types that give those of all layers when they are taken in turn."""
    lengths = range(1, len(types) + 1)
    length = next(n for n in lengths if all(t == types[i % n] for i, t in enumerate(types)))
    return () if all(t == LayerType() for t in types) else tuple(types[:length])


def _changes(layer_type: LayerType) -> dict[str, object]:
    return {name: value for name, value in asdict(layer_type).items() if value is not None}


def _layer_types(values: object) -> tuple[LayerType, ...]:
    """A list of layer types, or of the tables in which a file has them."""
    if not isinstance(values, list | tuple):
        raise ConfigError(f"layer_types must be a list of tables, not {values!r}")
    types = []
    for value in values:
        table = asdict(value) if isinstance(value, LayerType) else value
        if not isinstance(table, Mapping):
            raise ConfigError(f"layer_types must be a list of tables, but holds {value!r}")
        _refuse_unknown("setting in layer_types", table, list(_types(LayerType)))
        kinds = _types(LayerType)
        types.append(LayerType(**{n: _checked(n, v, kinds[n]) for n, v in table.items()}))  # type: ignore[arg-type]
    return tuple(types)


def _refuse_unknown(what: str, values: Mapping[str, object], known: list[str]) -> None:
    for name in values:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"unknown {what} {name!r}: {hint}")


@cache
def _types(cls: type) -> dict[str, object]:
    return get_type_hints(cls)


def _checked(name: str, value: object, kind: object) -> object:
    """`value` as `kind` (a type, a type or None, or a `Literal`), or a `ConfigError`."""
    if get_origin(kind) is tuple:
        return _layer_types(value)
    if NoneType in get_args(kind):
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
