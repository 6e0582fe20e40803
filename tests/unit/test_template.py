"""Rendering: control tokens only from the template, and a mask over the persona's words alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minbpe import RegexTokenizer
from pipeline.dialogue.template import (
    END,
    SEPARATOR,
    SPECIAL,
    START,
    closing,
    document_end,
    end_id,
    opening,
    render,
    template_of,
)
from pipeline.dialogue.turns import Turn

TOKENIZER = RegexTokenizer.train(["good morning ben ana " * 20], 300, special=SPECIAL)
SPECIAL_IDS = set(TOKENIZER.special.values())
anything = st.text(max_size=30) | st.sampled_from([*SPECIAL, "<|startoftext|>Ana<|separator|>"])


def test_a_turn_is_start_speaker_separator_text_end():
    ids, mask = render([Turn("Ana", ("good", "morning"))], TOKENIZER)
    special = TOKENIZER.special
    assert ids[0] == special[START]
    assert ids[-1] == special[END]
    at = ids.index(special[SEPARATOR])
    assert TOKENIZER.decode(ids[1:at]) == "Ana"
    assert TOKENIZER.decode(ids[at + 1 : -1]) == "good\nmorning"
    assert mask == [False] * (at + 1) + [True] * (len(ids) - at - 1)


def test_only_the_turns_to_learn_are_in_the_mask():
    said = [Turn("Ana", ("good morning",)), Turn("Ben", ("morning",))]
    ids, mask = render(said, TOKENIZER, lambda turn: turn.speaker == "Ben")
    learned = [i for i, m in zip(ids, mask, strict=True) if m]
    assert learned == [*TOKENIZER.encode("morning"), TOKENIZER.special[END]]


def test_a_reply_starts_where_a_rendered_turn_would_go_on():
    ids, _ = render([Turn("Ben", ("hi",))], TOKENIZER)
    start = opening("Ben", TOKENIZER)
    assert ids[: len(start)] == start


@given(st.lists(st.tuples(anything, anything), max_size=4))
def test_no_name_and_no_message_can_produce_a_special_id(said):
    ids, _ = render([Turn(who, (text,)) for who, text in said], TOKENIZER)
    control = [i for i in ids if i in SPECIAL_IDS]
    expected = [TOKENIZER.special[name] for name in (START, SEPARATOR, END)] * len(said)
    assert control == expected


@pytest.mark.parametrize("name", SPECIAL)
def test_the_special_tokens_are_where_the_tokenizer_has_them(name):
    assert TOKENIZER.special[name] >= 256 + len(TOKENIZER.merges)


class Foreign:
    """A tokenizer with somebody else's chat markers: letters are their code points."""

    def __init__(self, *names: str) -> None:
        self.special = {name: 1_000_000 + n for n, name in enumerate(names)}

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def read(self, ids: list[int]) -> str:
        names = {i: name for name, i in self.special.items()}
        return "".join(names.get(i) or chr(i) for i in ids)


CHATML = Foreign("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LLAMA3 = Foreign("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


@pytest.mark.parametrize(
    ("tokenizer", "written"),
    [
        (CHATML, "<|im_start|>Ana\nhi<|im_end|>\n"),
        (LLAMA3, "<|start_header_id|>Ana<|end_header_id|>\n\nhi<|eot_id|>"),
    ],
)
def test_a_base_keeps_its_own_markers_with_the_speaker_as_the_role(tokenizer, written):
    ids, mask = render([Turn("Ana", ("hi",))], tokenizer)
    assert tokenizer.read(ids) == written
    learned = [i for i, m in zip(ids, mask, strict=True) if m]
    assert learned == [ord("h"), ord("i"), end_id(tokenizer)]
    assert ids == [*opening("Ana", tokenizer), *tokenizer.encode("hi"), *closing(tokenizer)]


def test_a_tokenizer_without_any_markers_has_no_template():
    assert template_of(Foreign("<|endoftext|>")) is None
    assert template_of(TOKENIZER) == "turns-1"
    assert template_of(CHATML) == "chatml"
    assert document_end(CHATML) == CHATML.special["<|endoftext|>"]
    assert document_end(LLAMA3) == LLAMA3.special["<|eot_id|>"]
