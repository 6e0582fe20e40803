"""Apply the rules to a chat, and log what each rule did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.cleaning.message_rules import RULES, Rule
from pipeline.exports.message import Message

MAX_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Change:
    """What one rule did to one message; `message` is as the rule received it."""

    message: Message
    rule: str
    action: Literal["dropped", "cut", "masked"]

    def to_dict(self) -> dict[str, str | None]:
        """A line of `removed.jsonl`: time, sender, text, rule, action."""
        return {
            "time": self.message.time.isoformat(),
            "sender": self.message.sender,
            "text": self.message.text,
            "rule": self.rule,
            "action": self.action,
        }


@dataclass
class CleaningLog:
    """What the rules did. `counts` has an entry for every rule applied, even if it is 0."""

    counts: Counter[str] = field(default_factory=Counter)
    changes: list[Change] = field(default_factory=list)

    def examples(self) -> dict[str, list[str]]:
        """Up to three texts, as the rule received them, for every rule that did something."""
        examples: dict[str, list[str]] = {}
        for change in self.changes:
            texts = examples.setdefault(change.rule, [])
            if len(texts) < MAX_EXAMPLES and change.message.text not in texts:
                texts.append(change.message.text)
        return examples


def clean(
    messages: Iterable[Message], rules: Mapping[str, Rule] = RULES, log: CleaningLog | None = None
) -> Iterator[Message]:
    """Yield the messages that the rules keep, as the rules changed them."""
    log = CleaningLog() if log is None else log
    log.counts.update(dict.fromkeys(rules, 0))
    for original in messages:
        message = original
        for name, rule in rules.items():
            after = rule(message)
            if after is message:
                continue
            log.counts[name] += 1
            log.changes.append(Change(message, name, _action(message, after)))
            if after is None:
                break
            message = after
        else:
            yield message


def _action(before: Message, after: Message | None) -> Literal["dropped", "cut", "masked"]:
    if after is None:
        return "dropped"
    return "masked" if after.text.count("[") > before.text.count("[") else "cut"
