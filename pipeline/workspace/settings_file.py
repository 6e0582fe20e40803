"""`workspace.toml`: the settings written out with every explanation as a comment.

A human edits the file; `load` checks it whole before any stage runs, and `save` records what a
command line named without touching the rest.
"""

from __future__ import annotations

import difflib
import sys
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Item

from pipeline.common.errors import SettingsError, WorkspaceError
from pipeline.common.files import atomic
from pipeline.workspace.settings import RENAMED, Settings

VERSION = 1
UNIONS = (Union, UnionType)


def sections() -> dict[str, type]:
    """Section name → its dataclass, in the order of the file."""
    hints = get_type_hints(Settings)
    return {f.name: hints[f.name] for f in fields(Settings)}


def names() -> list[str]:
    """Every dotted setting name, in the order of the file."""
    return [f"{section}.{f.name}" for section, cls in sections().items() for f in fields(cls)]


def from_dict(tree: Mapping[str, object], where: str) -> Settings:
    """Settings from plain data; SettingsError names the first key that is wrong, and where."""
    tables = sections()
    _refuse_unknown(tree, tables, "section", where)
    built = {}
    for section, values in tree.items():
        if not isinstance(values, Mapping):
            raise SettingsError(f"{where}: {section} must be a section, [{section}].")
        cls = tables[section]
        hints, limits = get_type_hints(cls), {f.name: f.metadata for f in fields(cls)}
        given = {current_name(f"{section}.{key}", where): v for key, v in values.items()}
        _refuse_unknown(given, [f"{section}.{key}" for key in hints], "setting", where)
        keys = {name: name.partition(".")[2] for name in given}
        built[section] = cls(
            **{
                key: _checked(name, given[name], hints[key], limits[key], where)
                for name, key in keys.items()
            }
        )
    return Settings(**built)


def changed(settings: Settings, changes: Mapping[str, object], where: str) -> Settings:
    """Settings with some (dotted name → value) changed, checked like all others."""
    tree: dict[str, dict[str, object]] = {
        section: {f.name: getattr(getattr(settings, section), f.name) for f in fields(cls)}
        for section, cls in sections().items()
    }
    for name, value in changes.items():
        new = current_name(name, "--set")
        _refuse_unknown([new], names(), "setting", "--set")
        section, _, key = new.partition(".")
        tree[section][key] = value
    return from_dict(tree, where)


def current_name(name: str, where: str) -> str:
    """What a setting is called today; says so, once, where it is called by an old name."""
    if name in RENAMED:
        _tell_renamed(name, where)
    return RENAMED.get(name, name)


@cache
def _tell_renamed(name: str, where: str) -> None:
    print(f"{where}: {name} is called {RENAMED[name]} now.", file=sys.stderr)


def _refuse_unknown(given: Collection[str], known: Collection[str], what: str, where: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise SettingsError(f"{where}: there is no {what} {name}.{hint}")


def _checked(
    name: str, value: object, hint: Any, limits: Mapping[str, float | None], where: str
) -> object:
    """The value in its type and inside its limits, or a SettingsError that says what is allowed."""
    options = get_args(hint) if get_origin(hint) in UNIONS else (hint,)
    for option in options:
        fits, result = _as_type(value, option)
        if fits:
            break
    else:
        raise SettingsError(f"{where}: {name} must be {_allowed(hint)}, not {value!r}.")
    if isinstance(result, int | float) and not isinstance(result, bool):
        low, high = limits["low"], limits["high"]
        below, above = low is not None and result < low, high is not None and result > high
        if below or above or result != result:  # which only nan is
            range_ = f"at least {low}" if high is None else f"between {low} and {high}"
            raise SettingsError(f"{where}: {name} must be {range_}, not {result}.")
    return result


def _as_type(value: object, hint: Any) -> tuple[bool, object]:
    """Whether a TOML value fits one type, and the value in that type."""
    if get_origin(hint) is Literal:
        return value in get_args(hint), value
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if not isinstance(value, list | tuple):
            return False, None
        return all(_as_type(v, inner)[0] for v in value), tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return True, float(value)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool)), value


def _allowed(hint: Any) -> str:
    """A type in words: `a whole number or auto`."""
    if get_origin(hint) in UNIONS:
        return " or ".join(_allowed(option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return " | ".join(str(option) for option in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list, each {_allowed(get_args(hint)[0])}"
    return {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[hint]


def document(settings: Settings) -> tomlkit.TOMLDocument:
    """`workspace.toml` with every setting and its explanation."""
    doc = tomlkit.document()
    doc.add(
        tomlkit.comment("The settings of this workspace. Stages whose settings change run again;")
    )
    doc.add(
        tomlkit.comment(
            "`python -m pipeline status` says which, `python -m pipeline why STAGE` why."
        )
    )
    doc.add("version", tomlkit.item(VERSION))
    for section, cls in sections().items():
        table = tomlkit.table()
        table.comment((cls.__doc__ or "").strip())
        hints = get_type_hints(cls)
        for f in fields(cls):
            table.add(tomlkit.nl())
            table.add(tomlkit.comment(f"{f.metadata['help']} [{_allowed(hints[f.name])}]"))
            value = getattr(getattr(settings, section), f.name)
            table.add(f.name, _item(value))
        doc.add(section, table)
    return doc


def _item(value: object) -> Item:
    if isinstance(value, list | tuple):
        array: Item = tomlkit.item(list(value)).multiline(len(value) > 3)
        return array
    return tomlkit.item(value)


def load(path: Path) -> Settings:
    """The checked settings of a `workspace.toml`."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WorkspaceError(
            f"{path.parent} is no workspace (it has no {path.name}); make one with "
            "`python -m pipeline run --export FILE --persona NAME`."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    version = tree.pop("version", VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise WorkspaceError(
            f"{path.parent} was made by a newer version of this program (workspace version "
            f"{version}, this one reads up to {VERSION}); update the program."
        )
    return from_dict(tree, str(path))


def save(path: Path, changes: Mapping[str, object]) -> None:
    """Record changed settings (dotted name → value) and keep everything else in the file as it is.

    The changed whole is checked first; a refused change leaves the file as it was.
    """
    before = load(path) if path.exists() else Settings()
    changed(before, changes, str(path))
    doc = _readable(path) if path.exists() else document(before)
    for name, value in changes.items():
        new = current_name(name, "--set")
        section = new.partition(".")[0]
        table = doc.setdefault(section, tomlkit.table())
        written = [old for old in RENAMED if RENAMED[old] == new and old.partition(".")[2] in table]
        table[(written or [new])[0].partition(".")[2]] = _item(value)
    with atomic(path) as file:
        file.write(tomlkit.dumps(doc))


def _readable(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except TOMLKitError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None


def parse_value(text: str) -> object:
    """A `--set` value: TOML where it reads as TOML (16, true, ["a"]), else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def reference() -> str:
    """docs/settings.md: every setting with its default and meaning."""
    lines = [
        "# Settings",
        "",
        "Every setting of `workspace.toml`, as the program knows it.",
        "`python -m pipeline.workspace.settings_file` prints this page.",
        "Change one in the file, or with `--set section.key=value`.",
    ]
    defaults = Settings()
    for section, cls in sections().items():
        hints = get_type_hints(cls)
        lines += ["", f"## [{section}]", "", (cls.__doc__ or "").strip(), ""]
        lines += ["| setting | default | may be | meaning |", "|---|---|---|---|"]
        for f in fields(cls):
            default = _item(getattr(getattr(defaults, section), f.name)).as_string()
            allowed = _allowed(hints[f.name]).replace("|", "\\|")
            lines.append(f"| `{f.name}` | `{default}` | {allowed} | {f.metadata['help']} |")
    lines += [
        "",
        "## Renamed",
        "",
        "Old names are still understood.",
        "",
        "| was | is |",
        "|---|---|",
    ]
    lines += [f"| `{old}` | `{new}` |" for old, new in RENAMED.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
