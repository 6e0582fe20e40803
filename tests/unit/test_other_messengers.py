"""Chats from elsewhere: Telegram's result.json, and tables of time, sender and text."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.common.errors import ExportError
from pipeline.exports.message import Message
from pipeline.exports.read_export import read_export

NINE = datetime(2024, 3, 5, 9, 7, 1)


def telegram(*rows: dict[str, Any]) -> dict[str, Any]:
    stamp = {"id": 1, "type": "message", "date": "2024-03-05T09:07:01", "from": "Ann"}
    return {"name": "Ann", "type": "personal_chat", "messages": [stamp | row for row in rows]}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def said(path: Path) -> list[tuple[str | None, str, str]]:
    return [(m.sender, m.kind, m.text) for m in read_export(path).messages]


def test_telegram(tmp_path: Path) -> None:
    chat = telegram(
        {"text": "hi\nyou"},
        {"text": ["see ", {"type": "link", "text": "example.com"}, "!"]},
        {"text": "the sea", "photo": "photos/1.jpg"},
        {"text": "", "media_type": "sticker", "file": "x.webp"},
        {"text": "", "poll": {"question": "?"}},
        {"type": "service", "action": "phone_call", "text": "", "actor": "Ann", "from": None},
        {"type": "service", "action": "create_group", "text": "", "actor": "Ann", "from": None},
        {"from": None, "from_id": "user7", "text": "bye"},
        {"forwarded_from": None, "text": "news of a channel"},
        {"text": "half an emoji \ud83d"},
    )
    path = write(tmp_path / "result.json", json.dumps(chat))

    assert said(path) == [
        ("Ann", "text", "hi\nyou"),
        ("Ann", "text", "see example.com!"),
        ("Ann", "media", ""),
        ("Ann", "text", "the sea"),
        ("Ann", "media", ""),
        ("Ann", "poll", ""),
        ("Ann", "call", "phone call"),
        (None, "notice", "create group"),
        ("user7", "text", "bye"),
        ("Ann", "media", "news of a channel"),
        ("Ann", "text", "half an emoji \ufffd"),
    ]
    assert next(read_export(path).messages).time == NINE
    assert read_export(tmp_path).report.chats[0].platform == "telegram"


def test_a_whole_telegram_account_has_several_chats(tmp_path: Path) -> None:
    chats = {"chats": {"list": [telegram({"text": "a"}), telegram({"text": "b"})]}}
    path = write(tmp_path / "result.json", json.dumps(chats))

    assert [m.conversation for m in read_export(path).messages] == [0, 1]


def test_in_a_folder_only_the_usual_names_of_exports_count(tmp_path: Path) -> None:
    write(tmp_path / "notes.csv", "2024-03-05T09:07:01,Ann,hi\n")
    write(tmp_path / "settings.json", json.dumps(telegram({"text": "no"})))
    write(tmp_path / "result.json", json.dumps(telegram({"text": "yes"})))

    assert said(tmp_path) == [("Ann", "text", "yes")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'time,sender,text\n2024-03-05T09:07:01,Ann,"one\ntwo, three"\n'),
        ("a.csv", 'Author;Message;Date\nAnn;"one\ntwo, three";2024-03-05 09:07:01\n'),
        ("a.csv", '2024-03-05T09:07:01Z,Ann,"one\ntwo, three"\n'),
        ("a.jsonl", '{"from": "Ann", "body": "one\\ntwo, three", "timestamp": 1709629621}\n\n'),
        ("a.jsonl", '{"user": "Ann", "text": "one\\ntwo, three", "time": 1709629621000}\n'),
    ],
)
def test_tables(tmp_path: Path, name: str, text: str) -> None:
    path = write(tmp_path / name, text)

    assert list(read_export(path).messages) == [Message(NINE, "Ann", "one\ntwo, three", "text", 0)]


def test_messages_of_a_workspace_are_a_table_too(tmp_path: Path) -> None:
    message = Message(NINE, None, "Ann left", "notice", 0)
    path = write(tmp_path / "messages.jsonl", json.dumps(message.to_dict()) + "\n")

    assert list(read_export(path).messages) == [message]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.json", "{", "damaged JSON"),
        ("a.json", '{"a": 1}', "no line that begins like"),
        ("a.jsonl", "[1]\n", "line 1: not an object"),
        ("a.jsonl", "{\n", "line 1: not JSON"),
        ("a.csv", "a,b\nc,d\n", "line 1: no time"),
        ("a.csv", "", "is empty"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    with pytest.raises(ExportError, match=reason) as caught:
        list(read_export(write(tmp_path / name, text)).messages)

    assert "\n" not in str(caught.value)
