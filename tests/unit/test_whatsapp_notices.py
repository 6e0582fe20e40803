"""What the app wrote, and what a person typed that looks like it."""

from __future__ import annotations

import io

import pytest

from pipeline.exports.exported_chat import Tally
from pipeline.exports.message import Message
from pipeline.exports.whatsapp.layout import detect_layout
from pipeline.exports.whatsapp.notices import BodyClassifier, notice_topic
from pipeline.exports.whatsapp.reader import read_messages


def android(*lines: str) -> list[Message]:
    return _parse("".join(f"25/03/2024, 10:01 - {line}\n" for line in lines))


def ios(*lines: str) -> list[Message]:
    return _parse("".join(f"[25/03/2024, 10:01:00] {line}\r\n" for line in lines))


def _parse(text: str) -> list[Message]:
    layout = detect_layout(io.StringIO(text, newline="\n"), "auto")
    assert layout is not None
    return list(read_messages(io.StringIO(text, newline="\n"), layout, 0, Tally()))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<Media omitted>", "media"),
        ("IMG-20220323-WA0002.jpg (file attached)", "media"),
        ("\u200eAlex.vcf (file attached)", "contact"),
        ("This message was deleted", "deleted"),
        ("You deleted this message.", "deleted"),
        ("Missed voice call", "call"),
        ("location: https://maps.google.com/?q=51.5,-0.12", "location"),
        ("live location shared", "location"),
        ("POLL:\nWhen?\nOPTION: now (1 vote)", "poll"),
        ("Waiting for this message. This may take a while.", "waiting"),
        ("null", "view_once"),
        ("I said: This message was deleted", "text"),
        ("This message was deleted\nor was it", "text"),
        ("he left", "text"),
        ("the location: https is not enough", "text"),
        ("<Media omitted> lol", "text"),
        ("hello <This message was edited>", "text"),
    ],
)
def test_kind_of_what_stands_after_a_name(body: str, kind: str) -> None:
    (piece,) = BodyClassifier(ios=False).pieces(body)

    assert (piece.kind, piece.text) == (kind, body.replace("\u200e", ""))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("\u200eimage omitted", [("media", "image omitted")]),
        ("\u200emynd sleppt", [("notice", "mynd sleppt")]),  # a language not in a table
        (
            "\u200eMissed voice call, \u200eTap to call back",
            [("call", "Missed voice call, Tap to call back")],
        ),
        ("\u200eVoice call, \u200e5 min", [("call", "Voice call, 5 min")]),
        (
            "Resume.pdf • \u200e2 pages \u200e<attached: 00000047-Resume.pdf>",
            [("media", "Resume.pdf • 2 pages <attached: 00000047-Resume.pdf>")],
        ),
        (
            "Some file.txt \u200edocument omitted",
            [("media", "Some file.txt document omitted")],
        ),
        (
            "look at that \u200eimage omitted",
            [("media", "image omitted"), ("text", "look at that")],
        ),
        ("hi \u200e<This message was edited>", [("text", "hi \u200e<This message was edited>")]),
    ],
)
def test_marks_of_ios(body: str, expected: list[tuple[str, str]]) -> None:
    assert [(p.kind, p.text) for p in BodyClassifier(ios=True).pieces(body)] == expected


def test_a_caption_is_speech() -> None:
    attachment, caption = android("Ann: IMG-1.jpg (file attached)\nthe sea\nagain")

    assert (attachment.kind, attachment.text) == ("media", "IMG-1.jpg (file attached)")
    assert (caption.kind, caption.sender, caption.text) == ("text", "Ann", "the sea\nagain")
    assert caption.time == attachment.time


@pytest.mark.parametrize(
    "line",
    [
        "Messages and calls are end-to-end encrypted. Tap to learn more.",
        "Ann left",
        'Ann changed the subject from "A" to "Plan: B"',
        'Anna hat den Betreff zu "Plan: B" geändert',  # the quotation is open at the colon
        "Anna ha cambiato l'oggetto in “Piano: B”",
        "You added Work: Ann",
    ],
)
def test_notices_of_android_have_no_sender(line: str) -> None:
    (message,) = android(line)

    assert (message.kind, message.sender, message.text) == ("notice", None, line)


def test_speech_that_sounds_like_a_notice() -> None:
    said = android("Bob: Ann left", 'Bob: I said "no: never"', 'Jo "J" Doe: x', "Bob:")

    assert [message.sender for message in said] == ["Bob", "Bob", 'Jo "J" Doe', "Bob"]
    assert [message.kind for message in said] == ["text", "text", "text", "view_once"]


def test_notices_of_ios_stand_after_a_name_that_did_not_say_them() -> None:
    said = ios(
        "The gang: \u200eMessages and calls are end-to-end encrypted.",
        "Boris: Boris created group “The gang”",
        "Boris: Ann created group “The gang”",
    )

    assert [(m.kind, m.sender) for m in said] == [
        ("notice", None),
        ("notice", None),
        ("text", "Boris"),
    ]


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("\u200eMessages and calls are end-to-end encrypted. No one else.", "encryption"),
        ("Ann created group “X”", "created_group"),
        ("Ann added you", "added_you"),
        ("Ann added Bob", "notice"),
        ("hello", None),
    ],
)
def test_topics(text: str, topic: str | None) -> None:
    assert notice_topic(text) == topic
