"""Applying the rules to a chat, counting what each of them did and keeping what was taken out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

from pipeline.cleaning.rules import RULES, Rule
from pipeline.common.errors import SettingsError
from pipeline.exports.message import Message


@dataclass(frozen=True, slots=True)
class Removed:
    """What one rule did to one message; `message` is as the rule found it."""

    message: Message
    rule: str
    action: Literal["dropped", "cut", "masked"]

    def to_dict(self) -> dict[str, Any]:
        """A line of `removed.jsonl`: time, sender, text, rule, action."""
        return {
            "time": self.message.time.isoformat(),
            "sender": self.message.sender,
            "text": self.message.text,
            "rule": self.rule,
            "action": self.action,
        }


EXAMPLES = 3


@dataclass
class Tally:
    """What the rules did: `counts` has a number for every rule applied, 0 included."""

    counts: Counter[str] = field(default_factory=Counter)
    removed: list[Removed] = field(default_factory=list)

    def examples(self) -> dict[str, list[str]]:
        """Up to three texts, as found, for every rule that did something."""
        found: dict[str, list[str]] = {}
        for removed in self.removed:
            texts = found.setdefault(removed.rule, [])
            if len(texts) < EXAMPLES and removed.message.text not in texts:
                texts.append(removed.message.text)
        return found


def check_rules(names: Sequence[str]) -> None:
    """Raise SettingsError for a name that is not in `RULES`."""
    for name in names:
        if name not in RULES:
            near = get_close_matches(name, RULES, n=1, cutoff=0)
            raise SettingsError(
                f"clean.rules has no rule {name!r}; the nearest is {near[0]!r}, all are: "
                + ", ".join(RULES)
            )


def clean(
    messages: Iterable[Message],
    rules: Sequence[str] | Mapping[str, Rule] = tuple(RULES),
    tally: Tally | None = None,
) -> Iterator[Message]:
    """The messages that the rules leave, cut and masked where they do.

    `rules` are the names of some of `RULES`, applied in its order however they are listed, or rules
    of one's own (`presets.build` makes them from the settings). Raises SettingsError for an
    unknown one at once, before the first message is asked for.
    """
    if isinstance(rules, Mapping):
        chosen = dict(rules)
    else:
        check_rules(rules)
        chosen = {name: rule for name, rule in RULES.items() if name in rules}
    tally = Tally() if tally is None else tally
    tally.counts.update(dict.fromkeys(chosen, 0))
    return _apply(messages, chosen, tally)


def _apply(messages: Iterable[Message], rules: dict[str, Rule], tally: Tally) -> Iterator[Message]:
    for message in messages:
        kept = message
        for name, rule in rules.items():
            after = rule(kept)
            if after is kept:
                continue
            tally.counts[name] += 1
            tally.removed.append(Removed(kept, name, _action(kept, after)))
            if after is None:
                break
            kept = after
        else:
            yield kept


def _action(before: Message, after: Message | None) -> Literal["dropped", "cut", "masked"]:
    if after is None:
        return "dropped"
    return "masked" if after.text.count("[") > before.text.count("[") else "cut"
