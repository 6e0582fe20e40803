"""Opening exports: what is read in files, archives and folders, and what is refused."""

from __future__ import annotations

import json
import zipfile
from datetime import date, datetime
from pathlib import Path

import pytest

from pipeline.common.errors import ExportError, SettingsError
from pipeline.exports import sources
from pipeline.exports.message import Message
from pipeline.exports.read_export import read_export

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
CASES = SHARED / "cases" / "whatsapp"
EXPECTED = (
    json.loads((CASES / "expected.json").read_text(encoding="utf-8")) if CASES.exists() else {}
)

CHAT = "25/03/2024, 10:01 - Ann: one\n25/03/2024, 10:02 - Bob: two\n"
OTHER = "26/03/2024, 10:01 - Cleo: three\n"


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def pack(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def said(path: Path) -> list[tuple[str | None, str, int | None]]:
    return [(m.sender, m.text, m.conversation) for m in read_export(path).messages]


@pytest.mark.skipif(not EXPECTED, reason="the shared cases are not beside this checkout")
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_shared_case(name: str) -> None:
    messages = read_export(CASES / f"{name}.txt").messages

    sent = [[m.time.isoformat(), m.sender, m.text] for m in messages if m.sender is not None]

    assert sent == EXPECTED[name]


@pytest.mark.skipif(not SHARED.exists(), reason="the shared corpora are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "texts", "senders"), [("shakespeare", 8_218, 293), ("office", 75_158, 753)]
)
def test_a_long_chat_is_read_whole(name: str, texts: int, senders: int) -> None:
    (chat,) = read_export(SHARED / "data" / f"{name}.txt").report.chats

    assert chat.kinds["text"] == texts
    assert len(chat.senders) == senders
    assert (chat.skipped_lines, chat.unreadable_headers) == (0, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_encodings_a_text_editor_leaves_behind(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "chat.txt", CHAT, encoding)

    assert said(path) == [("Ann", "one", 0), ("Bob", "two", 0)]


def test_windows_line_ends_are_no_part_of_an_android_message(tmp_path: Path) -> None:
    text = (CHAT + "and\nmore\n").replace("\n", "\r\n")

    assert said(write(tmp_path / "chat.txt", text))[-1] == ("Bob", "two\nand\nmore", 0)


def test_zip_with_media_and_a_text_that_somebody_sent(tmp_path: Path) -> None:
    path = pack(
        tmp_path / "WhatsApp Chat - Ann.zip",
        {
            "00000003-PHOTO-2024-03-25-10-01-00.jpg": "...",
            "00000004-log.txt": OTHER,
            "_chat.txt": CHAT.replace("\n", "\r\n"),
            "__MACOSX/._chat.txt": "...",
        },
    )

    export = read_export(path)

    assert [message.text for message in export.messages] == ["one", "two"]
    assert export.report.ignored == (f"{path.name}/00000004-log.txt",)


def test_zip_with_several_chats_in_folders(tmp_path: Path) -> None:
    path = pack(tmp_path / "all.zip", {"a/Chat de WhatsApp con Ann.txt": CHAT, "b/x.txt": OTHER})

    assert [number for *_, number in said(path)] == [0, 0, 1]


def test_folder_with_texts_and_archives(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", CHAT)
    pack(tmp_path / "b.zip", {"inner.txt": OTHER})
    write(tmp_path / "notes.txt", "nothing to see\n")
    write(tmp_path / "old.txt", "caf\xe9\n", "latin-1")

    assert [number for *_, number in said(tmp_path)] == [0, 0, 1]
    assert read_export(tmp_path).report.ignored == ("notes.txt", "old.txt")


def test_a_folder_with_several_unpacked_exports(tmp_path: Path) -> None:
    for name, text in (("_chat.txt", CHAT), ("_chat 2.txt", OTHER), ("anna_chat.txt", CHAT)):
        write(tmp_path / name, text)

    assert len(read_export(tmp_path).chats) == 3


def test_the_reason_why_the_only_chat_cannot_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path / "chat.txt", "25/03/2024, 10:01 - Zoë: é", "latin-1")
    write(tmp_path / "notes.txt", "milk\n")

    with pytest.raises(ExportError, match=r"chat\.txt is not UTF-8"):
        read_export(tmp_path)


def test_a_zip_of_zips_says_what_to_do(tmp_path: Path) -> None:
    path = pack(tmp_path / "all.zip", {"one.zip": "x"})

    with pytest.raises(ExportError, match="unpack it and give the folder"):
        read_export(path)


def test_report_says_what_was_understood(tmp_path: Path) -> None:
    path = write(
        tmp_path / "chat.txt",
        "saved by me\n3/5/24, 9:07\u202fAM - Ann: one\n3/25/24, 12:09\u202fPM - Ann left\n"
        "13/25/24, 1:10\u202fPM - Ann: x\n3/25/24, 1:11\u202fPM - Ann: <Media omitted>\n",
    )

    (chat,) = read_export(path).report.chats

    assert chat.file == "chat.txt"
    assert (chat.platform, chat.header) == ("android", "m/d/yy, h:mm AM - ")
    assert (chat.date_order, chat.date_order_guessed) == ("month-first", False)
    assert (chat.first_day, chat.last_day) == (date(2024, 3, 5), date(2024, 3, 25))
    assert chat.kinds == {"text": 1, "notice": 1, "media": 1}
    assert chat.senders == {"Ann": 2}
    assert (chat.skipped_lines, chat.unreadable_headers) == (1, 1)


def test_messages_can_be_read_again(tmp_path: Path) -> None:
    export = read_export(write(tmp_path / "chat.txt", CHAT))

    first = list(export.messages)

    assert first == list(export.messages)
    assert first[0] == Message(datetime(2024, 3, 25, 10, 1), "Ann", "one", "text", 0)


def test_date_order_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "chat.txt", "03/04/2024, 10:01 - Ann: one\n")

    assert next(read_export(path).messages).time.month == 4
    assert read_export(path).report.chats[0].date_order_guessed
    assert next(read_export(path, date_order="month-first").messages).time.month == 3
    with pytest.raises(SettingsError, match=r"parse\.date_order"):
        read_export(path, date_order="american")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("empty.txt", "", "is empty"),
        ("novel.txt", "It was a dark night.\n", "no line that begins like"),
        ("viewer.txt", "01.04.2015 - 16:00:27; ME: text\n", "no line that begins like"),
        ("broken.zip", "PK", "not a whole zip"),
    ],
)
def test_what_is_no_export_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    with pytest.raises(ExportError, match=reason) as caught:
        read_export(write(tmp_path / name, text))

    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"chat\.txt does not exist"):
        read_export(tmp_path / "chat.txt")


def test_text_in_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"old\.txt is not UTF-8"):
        read_export(write(tmp_path / "old.txt", CHAT + "caf\xe9\n", "latin-1"))


def test_zip_without_a_text(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"photos\.zip holds no \.txt"):
        read_export(pack(tmp_path / "photos.zip", {"a.jpg": ""}))


def test_encrypted_zip(tmp_path: Path) -> None:
    path = pack(tmp_path / "chat.zip", {"_chat.txt": CHAT})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    path.write_bytes(data)

    with pytest.raises(ExportError, match="is encrypted"):
        read_export(path)


def test_absurdly_large_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_TEXT_BYTES", 10)

    with pytest.raises(ExportError, match="too large for a chat"):
        read_export(pack(tmp_path / "chat.zip", {"_chat.txt": CHAT}))


def test_damaged_zip(tmp_path: Path) -> None:
    path = pack(tmp_path / "chat.zip", {"_chat.txt": CHAT})
    data = bytearray(path.read_bytes())
    data[45] ^= 0xFF  # within the compressed text
    path.write_bytes(data)

    with pytest.raises(ExportError, match="damaged"):
        list(read_export(path).messages)


@pytest.mark.parametrize(
    "name", ["../_chat.txt", "/etc/_chat.txt", "C:/x/_chat.txt", "a\\..\\b.jpg"]
)
def test_an_archive_that_leads_out_of_itself_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match="names a file outside itself"):
        read_export(pack(tmp_path / "chat.zip", {name: CHAT}))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb = pack(tmp_path / "chat.zip", {"_chat.txt": CHAT + "x" * (9 << 20)})

    with pytest.raises(ExportError, match="too large for a chat"):
        read_export(bomb)


def test_utf16_that_lost_its_mark(tmp_path: Path) -> None:
    assert said(write(tmp_path / "chat.txt", CHAT, "utf-16-le"))[0][:2] == ("Ann", "one")


def test_an_order_under_which_no_date_exists_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no date in this export exists when read month-first"):
        read_export(write(tmp_path / "chat.txt", CHAT), date_order="month-first")


def test_aliases_join_the_names_of_one_person(tmp_path: Path) -> None:
    path = write(tmp_path / "chat.txt", CHAT)

    assert read_export(path, aliases=["Bob = Ann"]).report.senders == {"Bob": 2}


def test_confidence_is_lower_where_the_reader_guessed_or_could_not_read(tmp_path: Path) -> None:
    sure = write(tmp_path / "a.txt", CHAT)
    guess = write(tmp_path / "b.txt", "03/04/2024, 10:01 - Ann: one\n")
    broken = write(tmp_path / "c.txt", CHAT + "99/03/2024, 10:01 - Bob: x\n")

    assert [read_export(path).report.chats[0].confidence for path in (sure, guess, broken)] == [
        1.0,
        0.5,
        pytest.approx(2 / 3),
    ]
