"""Fine-tuning windows: every turn to learn is taught once, nothing else is, and all of it fits."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from minbpe import RegexTokenizer
from pipeline.dialogue.template import SPECIAL, render_turn
from pipeline.dialogue.turns import Turn
from pipeline.dialogue.windows import TRAIN_CONTEXT, WINDOWS, examples, padded

TOKENIZER = RegexTokenizer((), special=SPECIAL)
BLOCK = 40
conversation = st.lists(
    st.builds(
        Turn, st.sampled_from(["Ana", "Ben"]), st.tuples(st.text("abc", min_size=1, max_size=50))
    ),
    max_size=12,
)


def is_ana(turn: Turn) -> bool:
    return turn.speaker == "Ana"


@given(conversation, st.sampled_from(list(WINDOWS)))
def test_rows_fit_and_y_is_x_moved_by_one(turns, kind):
    for example in examples(turns, TOKENIZER, list(map(is_ana, turns)), BLOCK, kind):
        assert len(example.x) == len(example.y) <= BLOCK
        following = [*example.x[1:], None]
        assert all(y in (-1, x) for x, y in zip(following[:-1], example.y[:-1], strict=True))


@given(conversation)
def test_every_turn_of_the_persona_is_learned_once_and_no_other(turns):
    # Turns are identified by `id`, so that equal ones count separately.
    taught = Counter(
        id(turn)
        for example in examples(turns, TOKENIZER, list(map(is_ana, turns)), BLOCK, "multi")
        for turn, learned in zip(example.turns, example.learned, strict=True)
        if learned
    )
    expected = Counter(
        id(t) for t in turns if is_ana(t) and len(render_turn(t, TOKENIZER, True).ids) > 0
    )
    assert taught == expected


@given(conversation)
def test_targets_are_the_persona_s_text_and_end(turns):
    targets = [
        y
        for e in examples(turns, TOKENIZER, list(map(is_ana, turns)), BLOCK, "multi")
        for y in e.y
        if y != -1
    ]
    whole = []
    for turn in filter(is_ana, turns):
        unit = render_turn(turn, TOKENIZER, True)
        cut = unit.ids[: BLOCK + 1]
        whole += [i for i, m in zip(cut, unit.mask, strict=False) if m]
    assert targets == whole


@given(conversation)
def test_bytes_are_those_of_what_is_a_target(turns):
    for e in examples(turns, TOKENIZER, list(map(is_ana, turns)), BLOCK, "multi"):
        targets = bytes(i for i in e.y if 0 <= i < 256)  # a token a byte here
        assert abs(e.bytes - len(targets)) <= 1


@given(conversation)
def test_a_window_begins_shortly_before_what_it_teaches_and_ends_with_it(turns):
    for e in examples(turns, TOKENIZER, list(map(is_ana, turns)), BLOCK, "multi"):
        assert e.learned[-1]
        before = e.turns[: e.learned.index(True)]
        size = sum(len(render_turn(turn, TOKENIZER, False).ids) for turn in before)
        assert size <= TRAIN_CONTEXT * (BLOCK + 1)


def test_what_is_far_from_all_that_is_learned_is_in_no_window():
    said = ["a", *"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "a"]
    turns = [Turn("Ana" if text == "a" else "Ben", (text,)) for text in said]
    windows = list(examples(turns, TOKENIZER, list(map(is_ana, turns)), BLOCK, "multi"))
    assert [sum(e.learned) for e in windows] == [1, 1]
    assert len(windows[0].turns) == 1 < len(windows[1].turns) < 10


@given(conversation)
def test_single_windows_are_a_message_and_its_reply(turns):
    for example in examples(turns, TOKENIZER, list(map(is_ana, turns)), BLOCK, "single"):
        assert len(example.turns) == 2
        assert example.learned == [False, True]


def test_padding_goes_on_the_side_that_was_asked_for():
    assert padded([1, 2], 4, "right") == [1, 2, -1, -1]
    assert padded([1, 2], 4, "left") == [-1, -1, 1, 2]
