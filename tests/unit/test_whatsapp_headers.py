"""Where messages begin: the form of headers, the order of dates, and what only looks like one."""

from __future__ import annotations

import io
import sys
import unicodedata
from collections.abc import Sequence
from datetime import date, time
from time import process_time

import pytest

from pipeline.exports.exported_chat import Tally
from pipeline.exports.message import Message
from pipeline.exports.whatsapp.characters import ZEROS
from pipeline.exports.whatsapp.dates import Clocks, DateOrder, Days, decide_order
from pipeline.exports.whatsapp.layout import detect_layout
from pipeline.exports.whatsapp.reader import read_messages


def parse(text: str, date_order: DateOrder = "auto") -> list[Message]:
    layout = detect_layout(io.StringIO(text, newline="\n"), date_order)
    assert layout is not None
    return list(read_messages(io.StringIO(text, newline="\n"), layout, 0, Tally()))


def texts(text: str) -> list[str]:
    return [message.text for message in parse(text)]


@pytest.mark.parametrize(
    ("dates", "order", "guessed"),
    [
        (["2024/03/05"], "year-first", False),
        (["25/03/24"], "day-first", False),
        (["3/25/24"], "month-first", False),
        (["05/03/24", "06/03/24", "01/04/24"], "day-first", False),  # else it goes back in time
        (["3/5/24", "3/6/24", "4/1/24"], "month-first", False),
        (["5/3/24", "6/3/24", "1/4/24"], "day-first", False),
        (["05.03.24"], "day-first", False),
        (["3/5/24"], "month-first", True),
        (["03/04/2024"], "day-first", True),
        (["25/03/24", "26/03/24", "3/25/24"], "day-first", False),
        (["24/8/22", "24/8/23", "24/9/5"], "year-first", False),  # as Korean phones write
        (["25/12/22", "25/12/23", "25/12/24"], "day-first", False),  # every Christmas
        ([], "day-first", False),
    ],
)
def test_date_order(dates: Sequence[str], order: str, guessed: bool) -> None:
    assert decide_order(dates) == (order, guessed)


def test_the_user_knows_the_date_order_but_not_against_a_leading_year() -> None:
    assert decide_order(["03/04/2024"], "month-first").order == "month-first"
    assert decide_order(["2024/03/04"], "month-first").order == "year-first"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18.3.22", date(2022, 3, 18)),
        ("١٨\u200f/٣\u200f/٢٠٢٢", date(2022, 3, 18)),
        ("18/3/2565 BE", date(2022, 3, 18)),
        ("18/3/R4", date(2022, 3, 18)),
        ("2022. 3. 18.", date(2022, 3, 18)),
        ("31/02/2022", None),
    ],
)
def test_days(text: str, expected: date | None) -> None:
    assert Days("day-first")[text] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12:09\u202fAM", time(0, 9)),
        ("12:09 pm", time(12, 9)),
        ("9:08:07 p.\u00a0m.", time(21, 8, 7)),
        ("下午9:08", time(21, 8)),
        ("午前0:08", time(0, 8)),
        ("หลังเที่ยง 9:08", time(21, 8)),
        ("9:08 م", time(21, 8)),
        ("23:59 PM", time(23, 59)),
        ("00:04 AM", time(0, 4)),
        ("21.25", time(21, 25)),
        ("25:00", None),
    ],
)
def test_clocks(text: str, expected: time | None) -> None:
    assert Clocks()[text] == expected


def test_a_line_in_the_form_of_another_phone_is_text() -> None:
    chat = (
        "25/03/2024, 10:01 - Ann: look\n3/24/24, 9:00 AM - Zed: old\n[24.03.24, 09:00:00] Zed: x\n"
        "5/3/2024, 09:00 - Zed: y\n25/03/2024, 10:02 - Bob: yes\n05/04/2024, 10:02 - Bob: no\n"
    )

    assert [message.sender for message in parse(chat)] == ["Ann", "Bob", "Bob"]


def test_a_header_with_an_impossible_date_is_text() -> None:
    chat = "25/03/2024, 10:01 - Ann: see\n99/03/2024, 10:01 - Bob: x\n"

    assert texts(chat) == ["see\n99/03/2024, 10:01 - Bob: x"]


def test_two_exports_in_one_file() -> None:
    old = "".join(f"3/{day}/24, 9:07 AM - Ann: old\n" for day in range(1, 29))
    new = "".join(f"4/{day}/24, 9:07\u202fAM - Ann: new\n" for day in range(1, 31))

    assert texts(old + new) == ["old"] * 28 + ["new"] * 30


def test_one_header_is_not_enough_for_a_second_form() -> None:
    assert len(texts("3/5/24, 9:07 AM - A: x\n" * 3 + "3/5/24, 9:07\u202fAM - A: x\n")) == 3


def test_on_ios_a_bare_newline_is_within_a_message() -> None:
    chat = "[25/03/2024, 10:01:00] Ann: a\n[25/03/2024, 09:00:00] Zed: b\r\n" * 3

    assert texts(chat) == ["a\n[25/03/2024, 09:00:00] Zed: b"] * 3


def test_an_ios_file_that_lost_its_crlf_is_still_read() -> None:
    chat = "[25/03/2024, 10:01:00] Ann: a\nb\n[25/03/2024, 10:02:00] Bob: c\n"

    assert texts(chat) == ["a\nb", "c"]


def test_marks_before_and_within_the_header() -> None:
    chat = "\ufeff\ufeff[\ufeff29.01.18, 10:00:00] Ann: a\r\n\u200e[29.01.18, 10:00:01] Bob: b\r\n"

    assert texts(chat) == ["a", "b"]


def test_time_before_date() -> None:
    (message,) = parse("[14:56:01, 3/18/22] Musk Elon: hi\r\n")

    assert (message.time.isoformat(), message.sender) == ("2022-03-18T14:56:01", "Musk Elon")


def test_the_last_line_break_of_the_file_is_no_part_of_the_message() -> None:
    header = "25/03/2024, 10:01 - Ann: "

    assert texts(f"{header}x") == texts(f"{header}x\n") == ["x"]
    assert texts(f"{header}x\n\n") == ["x\n"]


def test_spaces_and_marks_around_a_name() -> None:
    chat = "25/03/2024, 10:01 - ~\u202fZed : x\n25/03/2024, 10:01 - \u202a+44\u00a07700\u202c: y\n"

    assert [message.sender for message in parse(chat)] == ["~ Zed", "+44 7700"]


def test_a_text_without_headers() -> None:
    assert detect_layout(io.StringIO("call at 10:30 - or later\n"), "auto") is None


@pytest.mark.parametrize(
    ("header", "time"),
    [
        ("22 March 2022, 12:51 - ", "2022-03-22T12:51:00"),
        ("[28 Aug 2013, 9:41:05] ", "2013-08-28T09:41:05"),
        ("[Tuesday, 22 March 2022, 12:51:00] ", "2022-03-22T12:51:00"),
        ("5 de março de 2024, 21:08 - ", "2024-03-05T21:08:00"),
        ("Mar 5, 2024, 9:08 PM - ", "2024-03-05T21:08:00"),
        ("2024年3月5日 21:08 - ", "2024-03-05T21:08:00"),
        ("2024년 3월 5일 오후 9:08 - ", "2024-03-05T21:08:00"),
        ("R6/3/5 午後9:08 - ", "2024-03-05T21:08:00"),
        ("令和6年3月5日 21:08 - ", "2024-03-05T21:08:00"),
        ("5/3/2567 21:08 - ", "2024-03-05T21:08:00"),
        ("5/3/24 রাত ১:৩০ - ", "2024-03-05T01:30:00"),
        ("5/3/24, रात 9:08 - ", "2024-03-05T21:08:00"),
        ("5/3/24, 9:08 অপরাহ্ণ - ", "2024-03-05T21:08:00"),
        ("5/3/24, 9:08 de la noche - ", "2024-03-05T21:08:00"),
        ("[5.3.2024, 9:08:02 אחה״צ] ", "2024-03-05T21:08:02"),
        (
            "\u0665\u200f/\u0663\u200f/\u0662\u0660\u0662\u0664، ٩:٠٨ بعد الظهر - ",
            "2024-03-05T21:08:00",
        ),
        ("۲۰۲۴/۳/۵،\u200f ۲۱:۰۸ - ", "2024-03-05T21:08:00"),
        ("2024-03-05 21 h 08 - ", "2024-03-05T21:08:00"),
        ("[2024-03-05 21 h 08 min 02 s] ", "2024-03-05T21:08:02"),
        ("5.03.24 г., 21:08 ч. - ", "2024-03-05T21:08:00"),
        ("၅/၃/၂၀၂၄ ၂၁:၀၈ - ", "2024-03-05T21:08:00"),
        ("𝟓/𝟑/𝟐𝟎𝟐𝟒 𝟐𝟏:𝟎𝟖 - ", "2024-03-05T21:08:00"),
    ],
)
def test_forms_beyond_the_commonest(header: str, time: str) -> None:
    (message,) = parse(f"{header}Ann: x\n", "day-first")

    assert (message.time.isoformat(), message.sender, message.text) == (time, "Ann", "x")


@pytest.mark.parametrize("first", ["12/{}/23, 9:07 AM", "{}.12.2023, 9:07"])
def test_a_long_chat_that_begins_late_in_the_year(first: str) -> None:
    """Its first months have two digits; those that follow have one."""
    second = first.replace("12/", "1/", 1).replace(".12.", ".1.").replace("23", "24")
    lines = [
        f"{form.format(day)} - Ann: this is message number {n} of the day\n"
        for form in (first, second)
        for day in range(1, 29)
        for n in range(450)
    ]
    assert len(parse("".join(lines))) == len(lines)


def test_a_second_form_may_begin_late() -> None:
    one = [
        f"[{n % 28 + 1:02}/03/2024, 10:01:00] Ann: number {n} of so many\n" for n in range(15_000)
    ]
    other = [f"[{n % 28 + 1}.4.24, 10:01] Ann: and number {n} of as many\n" for n in range(15_000)]
    assert len(parse("".join(one + other))) == 30_000


def test_on_ios_a_name_at_the_beginning_of_another_word_is_speech() -> None:
    said = ["John left", "Joanna added me on insta", "Jo left"]
    messages = parse(
        "".join(f"[25/03/2024, 10:01:0{n}] Jo: {text}\r\n" for n, text in enumerate(said))
    )
    assert [message.kind for message in messages] == ["text", "text", "notice"]


def test_every_decimal_digit_of_unicode_is_known() -> None:
    tens = {c for c in range(sys.maxunicode) if unicodedata.decimal(chr(c), -1) == 0}

    assert tens <= set(map(ord, ZEROS))


def test_a_mixture_of_forms_made_by_hand() -> None:
    chat = "13.6.2018 klo 21.25.15 - A: x\n13.06.18 21.25.15: B: y\n13.06.2018, 21.25 - C: z\n"

    assert [message.sender for message in parse(chat)] == ["A", "B", "C"]


def test_a_name_with_a_colon() -> None:
    chat = "".join(f"25/03/2024, 10:0{n} - Work: Ann: one: two\n" for n in range(3))

    (first, *_) = parse(chat + "25/03/2024, 10:05 - Bob: re: x\n")
    assert (first.sender, first.text) == ("Work: Ann", "one: two")
    assert parse(chat + "25/03/2024, 10:05 - Work: x\n" * 2)[0].sender == "Work"


def test_a_stranger_from_another_time_was_pasted() -> None:
    pasted = "see log\n24/03/2024, 09:00 - Zed: old line\n24/03/2024, 09:01 - Yan: older"
    chat = f"25/03/2024, 10:01 - Ann: {pasted}\n25/03/2024, 10:02 - Bob: x\n"

    assert texts(chat) == [pasted, "x"]


def test_a_known_speaker_may_be_late_and_a_new_one_may_come() -> None:
    chat = (
        "25/03/2024, 10:01 - Ann: a\n25/03/2024, 10:02 - Bob: b\n24/03/2024, 09:00 - Ann: late\n"
        "28/03/2024, 10:02 - Zed: new\n28/03/2024, 09:50 - Yan: a little early\n"
    )

    assert len(parse(chat)) == 5


@pytest.mark.parametrize(
    "text",
    [
        "\n" + "\u200e" * 300_000,
        "25/03/2024, 10:01 - " + "a:" * 300_000,
        "25/03/2024, 10:01 - " + "a added b " * 100_000,
        "25/03/2024, 10:01 - a: \u200e" + "a.b •" * 100_000 + "\u200ex",
        "25/03/2024, 10:01 - a: x\n" + "Tuesday, " * 100_000,
        ("25/03/2024, 10:01 - " + '"a" ') * 40_000,
    ],
)
def test_no_input_takes_long(text: str) -> None:
    before = process_time()
    layout = detect_layout(io.StringIO(text, newline="\n"), "auto")
    if layout is not None:
        list(read_messages(io.StringIO(text, newline="\n"), layout, 0, Tally()))

    assert process_time() - before < 4
