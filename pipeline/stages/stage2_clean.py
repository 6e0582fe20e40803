"""Stage 2: remove what is not speech, find the conversations, and make the split, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

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
from pipeline.common.files import write_json, write_jsonl
from pipeline.common.speakers import find_speaker
from pipeline.common.split_names import SPLITS, Split
from pipeline.dialogue.assign_splits import assign_splits
from pipeline.dialogue.conversations import find_conversations
from pipeline.dialogue.people import People
from pipeline.dialogue.silence import detect_silence
from pipeline.dialogue.turns import turns
from pipeline.exports.message import Message
from pipeline.stages.runner import Task
from pipeline.workspace.chat_store import ChatStore
from pipeline.workspace.record import Counts
from pipeline.workspace.settings import Clean
from pipeline.workspace.stages import CLEAN, MESSAGES, PEOPLE, PINNED

REMOVED = "2_clean/removed.jsonl"
RULES_REPORT = "2_clean/rules.json"  # each rule that did something, with three examples at most
FEW_TURNS = 20
MIN_TURNS = 10
HELD_OUT: dict[Split, str] = {"val": "to choose the best model by", "test": "to evaluate it with"}


def run(task: Task) -> Counts:
    """Write the clean `messages.jsonl`, and every decision to `removed.jsonl`."""
    settings = task.settings
    messages = ChatStore(task.path(MESSAGES)).messages()
    log = CleaningLog()
    kept = list(clean(messages, _rules(settings.clean, messages), log))
    if not kept:
        raise DataError("After cleaning no message is left; see clean.rules in workspace.toml.")
    speakers = Counter(m.sender for m in kept if m.sender is not None)
    persona = find_speaker(settings.source.persona, speakers)
    pinned = list(ChatStore(task.path(PINNED)).messages())
    if settings.clean.names == "placeholders":
        names = speaker_placeholders(kept, persona)
        kept, pinned = (rename_speakers(part, names) for part in (kept, pinned))
    silence = settings.clean.silence
    if silence == "auto":
        silence = detect_silence(kept)
    numbered = find_conversations(kept, timedelta(minutes=silence), pinned)
    placed = assign_splits(numbered, persona)
    turn_counts = {split: _turns_of(persona, placed, split) for split in SPLITS}
    _check(task, turn_counts)
    write_jsonl(task.path(CLEAN), (m.to_dict() for m in placed))
    People.of(placed, persona).write(task.path(PEOPLE))
    write_jsonl(task.path(REMOVED), (change.to_dict() for change in log.changes))
    effects = {rule: count for rule, count in log.counts.items() if count}
    examples = log.examples()
    report = {rule: {"count": n, "examples": examples[rule]} for rule, n in effects.items()}
    write_json(task.path(RULES_REPORT), report)
    task.screen.note(", ".join(f"{rule} {count:,}" for rule, count in effects.items()))
    task.screen.note(f"a new conversation begins after {silence:,} minutes of silence")
    return {
        "messages": len(placed),
        "dropped": len(messages) - len(placed),
        "conversations": len({m.conversation for m in placed}),
        **{f"persona_turns_{part}": count for part, count in turn_counts.items()},
    }


def _rules(chosen: Clean, messages: Sequence[Message]) -> dict[str, Rule]:
    """The rules that the settings ask for, as this chat needs them."""
    actions = {kind: getattr(chosen, kind) for kind in FINDERS}
    countries = chosen.countries or home_countries(m.sender or "" for m in messages)
    words = chosen.private_words
    marks = find_edit_marks(messages)
    return build_rules(chosen.preset, chosen.rules, actions, countries, words, marks)


def _turns_of(persona: str, messages: list[Message], part: str) -> int:
    """How many turns of a part are the persona's."""
    in_part = (m for m in messages if m.split == part)
    return sum(turn.speaker == persona for turn in turns(in_part))


def _check(task: Task, counts: Mapping[Split, int]) -> None:
    """Refuse what nothing can be learned from; warn about what can hardly be measured."""
    if counts["train"] < MIN_TURNS:
        raise DataError(
            f"The persona has only {sum(counts.values())} turns in this chat, too few to learn "
            f"from (at least {MIN_TURNS} to train on); add exports, or choose someone else."
        )
    for part, purpose in HELD_OUT.items():
        if counts[part] < FEW_TURNS:
            task.screen.warn(
                f"only {counts[part]} of the persona's turns are held out {purpose}; its figures "
                "will be rough"
            )
