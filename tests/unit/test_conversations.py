"""Conversations, and the one split that all later stages honour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from pipeline.dialogue.assign_splits import assign_splits
from pipeline.dialogue.conversations import find_conversations
from pipeline.dialogue.turns import bursts
from pipeline.exports.merge import message_key
from pipeline.exports.message import Message

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1)


def at(hours: float, sender: str = "Ann", text: str = "x", chat: int = 0) -> Message:
    return Message(START + hours * HOUR, sender, text, "text", chat)


def numbers(messages: list[Message]) -> list[int | None]:
    return [message.conversation for message in messages]


def days(count: int, *senders: str, first: int = 0) -> list[Message]:
    """One conversation a day, in which each of `senders` says one thing."""
    return [
        at(24 * day + n / 60, sender, f"{day}")
        for day in range(first, first + count)
        for n, sender in enumerate(senders)
    ]


def divided(
    chat: list[Message], persona: str | None, pinned: Sequence[Message] = ()
) -> list[Message]:
    return assign_splits(find_conversations(chat, 4 * HOUR, pinned), persona)


def by_split(messages: list[Message], persona: str) -> Counter[str | None]:
    return Counter(burst[0].split for who, burst in bursts(messages) if who == persona)


def test_a_silence_begins_a_conversation() -> None:
    assert numbers(find_conversations([at(0), at(4), at(8.01), at(9)], 4 * HOUR)) == [0, 0, 1, 1]


def test_so_does_a_step_back_and_another_chat() -> None:
    chat = [at(9), at(8), at(1), at(1, chat=1)]
    assert numbers(find_conversations(chat, 4 * HOUR)) == [0, 0, 1, 2]


def test_the_newest_tenth_of_the_persona_is_test_and_the_next_is_validation() -> None:
    messages = divided(days(40, "Ann", "Bob"), "Ann")

    parts = [part for part, _ in groupby(message.split for message in messages)]
    assert parts == ["train", "val", "test"]
    assert by_split(messages, "Ann") == {"train": 32, "val": 4, "test": 4}


def test_it_is_turns_of_the_persona_that_are_counted() -> None:
    # Ann speaks once a day, but on the last day for the tenth of all her turns.
    chat = days(27, "Ann") + days(1, "Ann", "Bob", "Ann", "Bob", "Ann", first=27)
    messages = divided(chat, "Ann")

    assert by_split(messages, "Ann") == {"train": 24, "val": 3, "test": 3}


def test_conversations_without_the_persona_are_split_apart_from_the_others() -> None:
    chat = days(20, "Ann", "Bob") + days(40, "Bob", "Cleo", first=20)
    messages = divided(chat, "Ann")

    others = Counter(m.split for m in messages if m.sender == "Cleo")
    assert others == {"train": 36, "val": 2, "test": 2}
    assert by_split(messages, "Ann") == {"train": 16, "val": 2, "test": 2}


def test_without_a_persona_messages_are_counted() -> None:
    messages = divided(days(20, "Ann", "Bob"), None)

    assert Counter(m.split for m in messages) == {"train": 32, "val": 4, "test": 4}


def test_a_single_conversation_is_all_train() -> None:
    assert {m.split for m in divided(days(1, "Ann", "Bob"), "Ann")} == {"train"}


def test_three_equal_conversations_are_shared_out() -> None:
    messages = divided(days(3, "Ann"), "Ann")

    assert [message.split for message in messages] == ["train", "val", "test"]


def test_a_conversation_too_large_to_hold_out_stays_in_train() -> None:
    giant = days(1, *["Ann", "Bob"] * 50, first=9)
    messages = divided(days(9, "Ann", "Bob") + giant, "Ann")

    assert messages[-1].split == "train"
    assert by_split(messages, "Ann")["test"] == 6


def test_a_newer_export_leaves_the_old_test_alone() -> None:
    chat = days(40, "Ann", "Bob")
    old = divided(chat, "Ann")
    goes_on = at(24 * 39 + 0.5, "Ann", "and another thing")
    newer = [*chat, goes_on, *days(20, "Ann", "Bob", first=40)]

    messages = divided(newer, "Ann", old)

    assert messages[: len(old)] == old
    new = messages[len(old) :]
    assert len(messages) == len(newer)
    assert (new[0].conversation, new[0].text) == (40, "and another thing")
    assert min(m.conversation or 0 for m in new) > max(m.conversation or 0 for m in old)
    assert by_split(new, "Ann") == {"train": 18, "val": 3}


def test_pinned_messages_are_matched_one_for_one() -> None:
    again = at(0, text="ha")
    old = assign_splits(find_conversations([again], HOUR), None)

    assert len(find_conversations([again, again], HOUR, pinned=old)) == 2
    assert numbers(find_conversations([again, again], HOUR, pinned=old)) == [0, 1]


MESSAGES = st.lists(
    st.builds(at, st.integers(0, 300), st.sampled_from(["Ann", "Bob"]), chat=st.integers(0, 1)),
    max_size=30,
)


@given(MESSAGES)
def test_conversations_are_held_out_whole_and_train_is_never_empty(chat: list[Message]) -> None:
    messages = divided(chat, "Ann")

    assert list(map(message_key, messages)) == list(map(message_key, chat))
    assert all(
        len({m.split for m in messages if m.conversation == number}) == 1
        for number in numbers(messages)
    )
    ann = by_split(messages, "Ann")
    assert not ann or ann["train"] * 3 >= ann.total()


@given(MESSAGES, MESSAGES)
def test_pinning_keeps_the_old_and_loses_nothing_new(
    chat: list[Message], more: list[Message]
) -> None:
    old = divided(chat, "Ann")
    messages = divided([*chat, *more], "Ann", old)

    assert messages[: len(old)] == old
    assert Counter(map(message_key, messages)) == Counter(map(message_key, [*chat, *more]))
    assert all(m.split in ("train", "val") for m in messages[len(old) :]) or not old


def test_what_the_test_holds_is_not_trained_on_under_another_name_or_wording() -> None:
    chat = days(12, "Ann")
    old = divided(chat, "Ann")
    changed = [
        replace(m, text=f"{m.text}!") if n % 2 else replace(m, sender="Ann B")
        for n, m in enumerate(chat)
    ]
    again = divided([*changed, at(2000, "Ann")], "Ann", old)
    assert again[: len(old)] == old
    assert [m.time for m in again[len(old) :]] == [START + 2000 * HOUR]


def test_splitting_again_changes_nothing() -> None:
    once = divided(days(12, "Ann"), "Ann")

    assert assign_splits(once, "Ann") == once
    assert assign_splits([replace(m, split=None) for m in once], "Ann") == once
