"""From the settings to the rules of one run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Literal

from pipeline.cleaning.message_rules import (
    RULES,
    Rule,
    change_text,
    cut_edit_marks,
    drop_forwards,
    drop_if,
    drop_walls,
)
from pipeline.cleaning.personal import FINDERS, finder, mask
from pipeline.common.errors import SettingsError

# What a preset does with every kind of personal data. None: the rule in `RULES` that has the name
# of the kind decides; there is one for some kinds.
PRESETS: dict[str, Literal["mask"] | None] = {"private": "mask", "reference": None}


def build_rules(
    preset: str,
    names: Sequence[str],
    actions: Mapping[str, str],
    countries: Sequence[str] = (),
    private_words: Sequence[str] = (),
    edit_marks: Iterable[str] = (),
) -> dict[str, Rule]:
    """The rules to apply, by name, in order.

    `names` selects from `RULES`, whose order holds. `actions` has "keep", "mask", "drop" or "auto"
    (as the preset has it) for kinds of personal data. `edit_marks` is for `cut_edit_marks`. Rules
    that remember messages are created anew. Raises SettingsError for a name not in `RULES`.
    """
    for name in names:
        if name not in RULES:
            nearest = get_close_matches(name, RULES, n=1, cutoff=0)
            raise SettingsError(
                f"clean.rules has no rule {name!r}; the nearest is {nearest[0]!r}, all are: "
                + ", ".join(RULES)
            )
    decided: dict[str, str | None] = {}
    personal: dict[str, Rule] = {}
    for kind in FINDERS:
        action = actions.get(kind, "auto")
        decided[kind] = PRESETS[preset] if action == "auto" else action
        is_selected = kind in names or kind not in RULES
        if is_selected and decided[kind] in ("mask", "drop"):
            personal[kind] = _personal_rule(kind, decided[kind] == "drop", countries, private_words)
    rules: dict[str, Rule] = {}
    for name, rule in RULES.items():
        if name == "notice":  # personal data comes just before it
            rules |= personal
            if preset != "reference":
                rules |= {"forward": drop_forwards(), "wall": drop_walls()}
        if name in names and decided.get(name) is None:
            rules[name] = cut_edit_marks(edit_marks) if name == "edited" else rule
    return rules


def _personal_rule(
    kind: str, drop: bool, countries: Sequence[str], private_words: Sequence[str]
) -> Rule:
    find = finder(kind, countries, private_words)
    if drop:
        return drop_if(lambda message: any(True for _ in find(message.text)))
    return change_text(lambda text: mask(text, kind, find))
