"""What a reply must not hold, in texts still being written."""

from __future__ import annotations

import pytest

from pipeline.common.errors import SettingsError
from pipeline.serving.rules import AvoidedWords, MaxMessages, OtherSpeakers, Repetition
from pipeline.serving.streaming import stream_reply


def shown(pieces: list[bytes], avoid: AvoidedWords, *endings) -> list[str]:
    """The pieces that are shown of a reply drawn as these; a banned piece is skipped."""

    def draw(ids, banned):
        at = ids[-1] + 1 if ids else 0
        yield from (n for n in range(at, len(pieces)) if n not in banned)

    return [text for _, text in stream_reply(draw, lambda ids: pieces[ids[0]], avoid, endings)]


def said(pieces: list[str], avoid: AvoidedWords | None = None, *endings) -> list[str]:
    """The same for pieces of text."""
    return shown([piece.encode() for piece in pieces], avoid or AvoidedWords(()), *endings)


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
    assert AvoidedWords(["hospital", "my  Darling", "💔"]).find(text, complete=True) == place


def test_a_word_is_complete_only_when_something_follows():
    avoid = AvoidedWords(["hospital"])
    assert avoid.find("the hospital", complete=False) is None
    assert avoid.pending("the hospital")
    assert not avoid.pending("the hospitals")
    assert not avoid.pending("the ")


def test_what_cannot_be_avoided_is_refused():
    with pytest.raises(SettingsError, match=r"chat\.avoid"):
        AvoidedWords(["fine", " :( "])


def test_the_drawing_steps_back_to_the_token_that_began_the_word():
    pieces = ["go", " to", " the ho", "spi", "tal", " now", " park"]
    assert said(pieces, AvoidedWords(["hospital"])) == ["go", " to", "spi", "tal", " now", " park"]
    assert said(pieces, AvoidedWords(["hospitals"])) == ["go", " to", " the hospital now", " park"]


def test_a_word_that_becomes_whole_by_the_cut_after_it_is_avoided_too(monkeypatch):
    """ "cats foo." loses its second token for "foo"; what is left is the word "cat"."""
    pieces, avoid = ["a ", "cat", "s foo", "."], AvoidedWords(["cat", "foo"])
    assert said(pieces, avoid) == ["a ", "."]
    monkeypatch.setattr("pipeline.serving.streaming.MAX_RETRIES", 0)
    assert said(pieces, avoid) == ["a "]


def test_a_character_that_is_not_complete_is_not_shown():
    """Else the token that begins it could not be taken back."""
    assert shown([b"a \xc3", b"\xa9 ", b"b"], AvoidedWords(["\u00e9"])) == ["\ufffd ", "b"]


def test_a_run_that_comes_a_third_time_ends_the_reply_after_the_second():
    words = ["well", "I", "do", "not", "know", "I", "do", "not", "know"]
    pieces = [f"{word} " for word in words]
    assert "".join(said([*pieces, "maybe "], None, Repetition())) == " ".join([*words, "maybe "])
    looping = [*pieces, "I ", "do ", "not ", "know ", "I "]
    assert "".join(said(looping, None, Repetition())).strip() == " ".join(words)
    unfinished = [*pieces, "I ", "do ", "nothing "]
    assert "".join(said(unfinished, None, Repetition())) == " ".join([*words, "I do nothing "])


@pytest.mark.parametrize("word", ["no ", "ha ", "😂", "🤷🏽‍♀️", "<3 ", "very very "])
def test_people_may_repeat_a_word(word):
    assert "".join(said([word] * 7, None, Repetition())) == word * 7
    assert len("".join(said([word] * 60, None, Repetition()))) < len(word * 40)


@pytest.mark.parametrize("head", ["Ben:", "ben :", "Cléo:", "assistant:", "Ben Smith :"])
def test_somebody_elses_turn_ends_the_reply(head):
    others = OtherSpeakers(["Ben", "Cléo", "Ben Smith"])
    assert said(["hi\n", *head, " hello"], None, others) == ["hi\n"]
    assert said([f"hi\n{head} hello"], None, others) == []
    assert "".join(said(["tell ", *head, " hello"], None, others)) == f"tell {head} hello"


@pytest.mark.parametrize("text", ["Weiß: hallo", "weiß: hallo", "weiss: hallo"])
def test_a_name_with_a_sharp_s_is_known_in_every_case(text):
    assert OtherSpeakers(["Weiß"]).find(text, True) == 0


def test_a_name_alone_is_text_and_a_marker_is_not():
    others = OtherSpeakers(["Ben"])
    assert "".join(said(["B", "en", " is", " here"], None, others)) == "Ben is here"
    assert said(["yes", "<", "|im_start|>"], None, others) == ["yes"]


def test_no_more_bubbles_than_usual():
    assert "".join(said(["a", "\n", "\n", "b", "\nc", "d"], None, MaxMessages(2))) == "a\n\nb"


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_half_a_character_at_the_end_is_not_shown(cut):
    pieces = [b"ok ", *("😂".encode()[n : n + 1] for n in range(cut))]
    assert "".join(shown(pieces, AvoidedWords(()))) == "ok "
    torn_within = [b"ok", b" \xf0\x9f"]
    assert "".join(shown(torn_within, AvoidedWords(()))) == "ok"
