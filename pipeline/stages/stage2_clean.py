"""Stage 2: take out what is not speech, find the conversations, and make the split, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pipeline.cleaning.clean import CleaningLog, clean
from pipeline.cleaning.message_rules import Rule, find_edit_marks
from pipeline.cleaning.personal import (
    FINDERS,
    home_countries,
    rename_speakers,
    speaker_placeholders,
)
from pipeline.cleaning.ruleset import build_rules
from pipeline.common.errors import DataError
from pipeline.common.files import read_jsonl, write_json, write_jsonl
from pipeline.common.speakers import find_speaker
from pipeline.dialogue.conversations import assign_splits, find_conversations
from pipeline.dialogue.silence import detect_silence
from pipeline.dialogue.turns import turns
from pipeline.exports.message import Message
from pipeline.stages.runner import Task
from pipeline.workspace.settings import Clean
from pipeline.workspace.stages import CLEAN, MESSAGES, PINNED

REMOVED = "2_clean/removed.jsonl"
RULES_REPORT = "2_clean/rules.json"  # each rule that did something, with three examples at most
FEW_TURNS = 20
LEAST_TURNS = 10
HELD_BACK = {"val": "to choose the best model by", "test": "to evaluate it with"}


def run(task: Task) -> dict[str, Any]:
    """Write the clean `messages.jsonl`, and every decision to `removed.jsonl`."""
    settings = task.settings
    messages = [Message.from_dict(row) for row in read_jsonl(task.path(MESSAGES))]
    log = CleaningLog()
    kept = list(clean(messages, _rules(settings.clean, messages), log))
    if not kept:
        raise DataError("After cleaning no message is left; see clean.rules in workspace.toml.")
    speakers = Counter(m.sender for m in kept if m.sender is not None)
    persona = find_speaker(settings.source.persona, speakers)
    pinned = [Message.from_dict(row) for row in _rows(task)]
    if settings.clean.names == "placeholders":
        names = speaker_placeholders(kept, persona)
        kept, pinned = (rename_speakers(part, names) for part in (kept, pinned))
    wanted = settings.clean.silence
    silence = detect_silence(kept) if wanted == "auto" else wanted
    numbered = find_conversations(kept, timedelta(minutes=silence), pinned)
    placed = assign_splits(numbered, persona)
    counts = {s: _turns_of(persona, placed, s) for s in ("train", "val", "test")}
    _check(task, counts)
    write_jsonl(task.path(CLEAN), (m.to_dict() for m in placed))
    write_jsonl(task.path(REMOVED), (change.to_dict() for change in log.changes))
    counts_by_rule = {rule: count for rule, count in log.counts.items() if count}
    examples = log.examples()
    report = {r: {"count": n, "examples": examples[r]} for r, n in counts_by_rule.items()}
    write_json(task.path(RULES_REPORT), report)
    task.screen.note(", ".join(f"{rule} {count:,}" for rule, count in counts_by_rule.items()))
    task.screen.note(f"a new conversation begins after {silence:,} minutes of silence")
    return {
        "messages": len(placed),
        "dropped": len(messages) - len(placed),
        "conversations": len({m.conversation for m in placed}),
        **{f"persona_turns_{name}": count for name, count in counts.items()},
    }


def _rules(chosen: Clean, messages: Sequence[Message]) -> dict[str, Rule]:
    actions = {kind: getattr(chosen, kind) for kind in FINDERS}
    countries = chosen.countries or home_countries(m.sender or "" for m in messages)
    words = chosen.private_words
    marks = find_edit_marks(messages)
    return build_rules(chosen.preset, chosen.rules, actions, countries, words, marks)


def _rows(task: Task) -> list[Any]:
    path = task.path(PINNED)
    return list(read_jsonl(path)) if path.exists() else []


def _turns_of(persona: str, messages: list[Message], part: str) -> int:
    chosen = [m for m in messages if m.split == part]
    return sum(turn.speaker == persona for turn in turns(chosen))


def _check(task: Task, counts: dict[str, int]) -> None:
    """Refuse what nothing can be learned from; warn about what can hardly be measured."""
    if counts["train"] < LEAST_TURNS:
        raise DataError(
            f"The persona has only {sum(counts.values())} turns in this chat, too few to learn "
            f"from (at least {LEAST_TURNS} to train on); add exports, or choose someone else."
        )
    for part, why in HELD_BACK.items():
        if counts[part] < FEW_TURNS:
            task.screen.warn(
                f"only {counts[part]} of the persona's turns are kept {why}; its figures will be "
                "rough"
            )
