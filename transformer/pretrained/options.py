"""Reading somebody else's `config.json`: every option checked, every complaint one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from transformer.io import WeightsError

T = TypeVar("T")


class Options:
    """The options of a `config.json`, asked for by name, and where they come from."""

    def __init__(self, values: Mapping[str, object], where: Path) -> None:
        self.values, self.where = values, where

    def with_defaults(self, defaults: Mapping[str, object] | None) -> Options:
        """The same, with `defaults` where an option is absent; not where it is null."""
        return Options({**(defaults or {}), **self.values}, self.where)

    def without(self, *names: str) -> Options:
        """The same, but for the options of these names."""
        return Options({n: v for n, v in self.values.items() if n not in names}, self.where)

    def get(self, name: str, kind: type[T], default: T | None = None) -> T:
        """The option as `kind`; `default` where it is absent or null, an error if that is None."""
        value = self.values.get(name)
        value = default if value is None else value
        if value is None:
            raise self.error(f"{name} is missing")
        if kind is float and type(value) is int and abs(value) < 1 << 63:
            value = float(value)
        if not (isinstance(value, kind) and type(value) is kind):  # True is no whole number
            raise self.error(f"{name} must be {_IN_WORDS[kind]}, not {shown(value)}")
        return value

    def size(self, name: str, default: int | None = None) -> int:
        """The option as a positive whole number."""
        value = self.get(name, int, default)
        if not 1 <= value < 1 << 31:
            raise self.error(f"{name} {shown(value)} is out of range")
        return value

    def only(self, name: str, *allowed: object) -> None:
        """Refuse all but `allowed`; an option that is absent or null is as the family has it."""
        value = self.values.get(name)
        if value is not None and value not in allowed:
            either = " or ".join(shown(choice) for choice in allowed) or "null"
            raise self.error(f"{name} {shown(value)} is not supported, only {either}")

    def error(self, what: str) -> WeightsError:
        return WeightsError(f"{self.where}: {what}")


_IN_WORDS: Mapping[type, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list: "a list",
    dict: "a table",
}


def shown(value: object) -> str:
    """A value as JSON, on one short line."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:60]}…"
