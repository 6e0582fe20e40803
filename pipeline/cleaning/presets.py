"""From settings to the rules of one run: which kinds of personal data are kept, masked or dropped.

A preset answers for every kind; a setting of its own answers for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pipeline.cleaning.personal import FINDERS, finder, mask
from pipeline.cleaning.rules import RULES, Rule, changing, dropping, edited, forwards, walls

Action = Literal["keep", "mask", "drop"]

PRESETS: dict[str, dict[str, Action | None]] = {
    # None: the rule of the same name in `RULES` decides, or nothing where there is none.
    "private": dict.fromkeys(FINDERS, "mask"),
    "reference": dict.fromkeys(FINDERS, None),
}


def build(
    preset: str,
    names: Sequence[str],
    actions: Mapping[str, str],
    countries: Sequence[str] = (),
    listed: Sequence[str] = (),
    marks: Iterable[str] = (),
) -> dict[str, Rule]:
    """The rules to apply, in order.

    `names` are those of `RULES` that are wanted; `actions` is what was set for each kind of
    personal data, "auto" leaving it to the preset; `marks` is for `edited`. Rules that remember are
    made afresh.
    """
    personal: dict[str, Rule] = {}
    decided: dict[str, str | None] = {}
    for kind, usual in PRESETS[preset].items():
        decided[kind] = usual if actions.get(kind, "auto") == "auto" else actions[kind]
        rule = _personal(kind, decided[kind], countries, listed)
        if rule is not None:
            personal[kind] = rule
    rules: dict[str, Rule] = {}
    for name, rule in RULES.items():
        if name in decided:
            if name not in names:
                personal.pop(name, None)
            elif decided[name] is None:
                rules[name] = rule
            continue
        if name == "notice":  # before what is left is taken for speech
            rules |= personal
            if preset != "reference":
                rules |= {"forward": forwards(), "wall": walls()}
        if name in names:
            rules[name] = edited(marks) if name == "edited" else rule
    return rules


def _personal(
    kind: str, action: str | None, countries: Sequence[str], listed: Sequence[str]
) -> Rule | None:
    find = finder(kind, countries, listed)
    makers: dict[str | None, Any] = {
        "mask": lambda: changing(lambda text: mask(text, kind, find)),
        "drop": lambda: dropping(lambda message: any(True for _ in find(message.text))),
    }
    return makers[action]() if action in makers else None
