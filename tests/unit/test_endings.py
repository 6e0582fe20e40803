"""What a reply must not hold, in texts still being written."""

from __future__ import annotations

import pytest

from pipeline.common.errors import SettingsError
from pipeline.serving.avoid import Avoid
from pipeline.serving.endings import Bubbles, Loops, Others
from pipeline.serving.streaming import certain


def shown(pieces: list[bytes], avoid: Avoid, *endings) -> list[bytes]:
    """The pieces that are shown of a reply drawn as these; a banned piece is passed over."""

    def draw(ids, banned):
        at = ids[-1] + 1 if ids else 0
        yield from (n for n in range(at, len(pieces)) if n not in banned)

    return [data for _, data in certain(draw, lambda ids: pieces[ids[0]], avoid, endings)]


def said(pieces: list[str], avoid: Avoid | None = None, *endings) -> list[str]:
    """The same in text."""
    found = shown([piece.encode() for piece in pieces], avoid or Avoid(()), *endings)
    return [data.decode() for data in found]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("the Hospital.", 4),
        ("HÔSPITAL", 0),
        ("hospitals", None),
        ("my hospital", 3),
        ("ho\u200bspital", 0),
        ("_hospital_", 1),
        ("Oh my, darling", 3),
        ("my dear darling", None),
        ("so sad 💔!", 7),
        ("mydarling", None),
    ],
)
def test_words_are_found_whole_and_folded(text, place):
    assert Avoid(["hospital", "my  Darling", "💔"]).found(text, whole=True) == place


def test_a_word_is_complete_only_when_something_follows():
    avoid = Avoid(["hospital"])
    assert avoid.found("the hospital", whole=False) is None
    assert avoid.open("the hospital")
    assert not avoid.open("the hospitals")
    assert not avoid.open("the ")


def test_what_cannot_be_avoided_is_refused():
    with pytest.raises(SettingsError, match=r"chat\.avoid"):
        Avoid(["fine", " :( "])


def test_the_drawing_steps_back_to_the_token_that_began_the_word():
    pieces = ["go", " to", " the ho", "spi", "tal", " now", " park"]
    assert said(pieces, Avoid(["hospital"])) == ["go", " to", "spi", "tal", " now", " park"]
    assert said(pieces, Avoid(["hospitals"])) == ["go", " to", " the hospital now", " park"]


def test_a_word_that_becomes_whole_by_the_cut_after_it_is_avoided_too(monkeypatch):
    """ "cats foo." loses its second token for "foo"; what is left is the word "cat"."""
    pieces, avoid = ["a ", "cat", "s foo", "."], Avoid(["cat", "foo"])
    assert said(pieces, avoid) == ["a ", "."]
    monkeypatch.setattr("pipeline.serving.streaming.PATIENCE", 0)
    assert said(pieces, avoid) == ["a "]


def test_a_character_that_is_not_complete_is_not_shown():
    """Else the token that begins it could not be taken back."""
    assert shown([b"a \xc3", b"\xa9 ", b"b"], Avoid(["\u00e9"])) == [b"\xa9 ", b"b"]


def test_a_run_that_comes_a_third_time_ends_the_reply_after_the_second():
    words = ["well", "I", "do", "not", "know", "I", "do", "not", "know"]
    pieces = [f"{word} " for word in words]
    assert "".join(said([*pieces, "maybe "], None, Loops())) == " ".join([*words, "maybe "])
    looping = [*pieces, "I ", "do ", "not ", "know ", "I "]
    assert "".join(said(looping, None, Loops())).strip() == " ".join(words)
    unfinished = [*pieces, "I ", "do ", "nothing "]
    assert "".join(said(unfinished, None, Loops())) == " ".join([*words, "I do nothing "])


@pytest.mark.parametrize("word", ["no ", "ha ", "😂", "🤷🏽‍♀️", "<3 ", "very very "])
def test_people_may_repeat_a_word(word):
    assert "".join(said([word] * 7, None, Loops())) == word * 7
    assert len("".join(said([word] * 60, None, Loops()))) < len(word * 40)


@pytest.mark.parametrize("head", ["Ben:", "ben :", "Cléo:", "assistant:", "Ben Smith :"])
def test_somebody_elses_turn_ends_the_reply(head):
    others = Others(["Ben", "Cléo", "Ben Smith"])
    assert said(["hi\n", *head, " hello"], None, others) == ["hi\n"]
    assert said([f"hi\n{head} hello"], None, others) == []
    assert "".join(said(["tell ", *head, " hello"], None, others)) == f"tell {head} hello"


def test_a_name_alone_is_text_and_a_marker_is_not():
    others = Others(["Ben"])
    assert "".join(said(["B", "en", " is", " here"], None, others)) == "Ben is here"
    assert said(["yes", "<", "|im_start|>"], None, others) == ["yes"]


def test_no_more_bubbles_than_usual():
    assert "".join(said(["a", "\n", "\n", "b", "\nc", "d"], None, Bubbles(2))) == "a\n\nb"


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_half_a_character_at_the_end_is_not_shown(cut):
    pieces = [b"ok ", *("😂".encode()[n : n + 1] for n in range(cut))]
    assert b"".join(shown(pieces, Avoid(()))) == b"ok "
    torn_within = [b"ok", b" \xf0\x9f"]
    assert b"".join(shown(torn_within, Avoid(()))) == b"ok"
