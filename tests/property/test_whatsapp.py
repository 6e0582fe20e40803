"""Whatever people write, in whatever form of header: what was rendered is what is read."""

from __future__ import annotations

import io
import itertools
from datetime import datetime
from typing import NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.exports.exported_chat import DateOrder, Tally
from pipeline.exports.merge import merge
from pipeline.exports.message import Message
from pipeline.exports.whatsapp.headers import HEADER
from pipeline.exports.whatsapp.layout import detect_layout
from pipeline.exports.whatsapp.notices import BodyClassifier
from pipeline.exports.whatsapp.reader import read_messages


class Form(NamedTuple):
    """How one phone writes headers; `header` is a template filled by `render`."""

    header: str
    order: DateOrder = "day-first"
    halves: tuple[str, str] = ("AM", "PM")
    zero: str = "0"

    @property
    def ios(self) -> bool:
        return self.header.startswith("[")

    @property
    def has_seconds(self) -> bool:
        return "{SS}" in self.header

    def render(self, time: datetime) -> str:
        fields = {
            "d": time.day,
            "dd": f"{time.day:02}",
            "m": time.month,
            "mm": f"{time.month:02}",
            "yy": f"{time.year % 100:02}",
            "yyyy": time.year,
            "BE": time.year + 543,
            "R": time.year - 2018,
            "h": time.hour,
            "hh": f"{time.hour:02}",
            "h12": time.hour % 12 or 12,
            "MM": f"{time.minute:02}",
            "SS": f"{time.second:02}",
            "half": self.halves[time.hour >= 12],
        }
        digits = {ord("0") + n: ord(self.zero) + n for n in range(10)}
        return self.header.format(**fields).translate(digits)


FORMS = {
    "en-US": Form("{m}/{d}/{yy}, {h12}:{MM}\u202f{half} - ", "month-first"),
    "en-US old": Form("{m}/{d}/{yy}, {h12}:{MM} {half} - ", "month-first"),
    "en-GB": Form("{dd}/{mm}/{yyyy}, {hh}:{MM} - "),
    "en-IN": Form("{dd}/{mm}/{yy}, {h12}:{MM}\u202f{half} - ", halves=("am", "pm")),
    "en-CA": Form("{yyyy}-{mm}-{dd}, {h12}:{MM}\u202f{half} - ", halves=("a.m.", "p.m.")),
    "es-CO": Form("{d}/{m}/{yyyy}, {h12}:{MM}\u202f{half} - ", halves=("a.\u00a0m.", "p.\u00a0m.")),
    "es old": Form("{d}/{m}/{yy} {h}:{MM} - "),
    "pt-BR": Form("{dd}/{mm}/{yyyy} {hh}:{MM} - "),
    "fr": Form("{dd}/{mm}/{yyyy} à {hh}:{MM} - "),
    "de": Form("{dd}.{mm}.{yy}, {hh}:{MM} - "),
    "nl": Form("{dd}-{mm}-{yyyy} {hh}:{MM} - "),
    "tr": Form("{d}.{mm}.{yyyy} {hh}:{MM} - "),
    "fi": Form("{d}.{m}.{yyyy} klo {h}.{MM} - "),
    "id": Form("{dd}/{mm}/{yy} {hh}.{MM} - "),
    "hu": Form("{yyyy}. {mm}. {dd}. {h}:{MM} - "),
    "hr": Form("{d}. {m}. {yyyy}. {hh}:{MM} - "),
    "zh-TW": Form("{yyyy}/{m}/{d} {half}{h12}:{MM} - ", halves=("上午", "下午")),
    "ko": Form("{yyyy}. {m}. {d}. {half} {h12}:{MM} - ", halves=("오전", "오후")),
    "ar": Form(
        "{d}\u200f/{m}\u200f/{yyyy}، {h12}:{MM} {half} - ", halves=("ص", "م"), zero="\u0660"
    ),
    "hi": Form("{d}/{m}/{yy}, {h12}:{MM} {half} - ", halves=("am", "pm"), zero="\u0966"),
    "legacy": Form("{dd}/{mm}/{yyyy} {hh}:{MM}:{SS}: "),
    "ios en-US": Form("[{m}/{d}/{yy}, {h12}:{MM}:{SS}\u202f{half}] ", "month-first"),
    "ios en-GB": Form("[{dd}/{mm}/{yyyy}, {hh}:{MM}:{SS}] "),
    "ios de": Form("[{dd}.{mm}.{yy}, {hh}:{MM}:{SS}] "),
    "ios es": Form("[{d}/{m}/{yy} {h12}:{MM}:{SS} {half}] ", halves=("a.\u00a0m.", "p.\u00a0m.")),
    "ios sv": Form("[{yyyy}-{mm}-{dd}, {hh}:{MM}:{SS}] "),
    "ios id": Form("[{d}/{m}/{yy} {hh}.{MM}.{SS}] "),
    "ios zh": Form("[{yyyy}/{m}/{d} {half}{h12}:{MM}:{SS}] ", halves=("上午", "下午")),
    "ios vi": Form("[{hh}:{MM}:{SS}, {m}/{d}/{yy}] ", "month-first"),
    "ios ar": Form(
        "[{d}\u200f/{m}\u200f/{yyyy}، {h12}:{MM}:{SS}\u00a0{half}] ",
        halves=("ص", "م"),
        zero="\u0660",
    ),
    "ios th": Form("[{d}/{m}/{BE} BE, {hh}:{MM}:{SS}] "),
    "ios ja": Form("[{m}/{d}/R{R}, {hh}:{MM}:{SS}] ", "month-first"),
}

SENDERS = ["Ann", "~ Zed", "+44 7700 900123", "José 🌍", "a]b - c", "محمد", "x:y", "O'Neill (work)"]
PIECES = st.sampled_from(
    [
        ": ",
        ":",
        "\n",
        "\n\n",
        "  ",
        "👩🏽‍🚀",
        "é",
        "½",
        "\u2068Ann\u2069",
        "\u2028",
        "a - b: c",
        "[1] ",
    ]
)
TEXTS = st.lists(
    st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=12)
    | PIECES,
    min_size=1,
    max_size=6,
).map("".join)
TIMES = st.datetimes(datetime(2019, 5, 2), datetime(2029, 12, 31))


def render(messages: list[Message], form: Form) -> str:
    newline = "\r\n" if form.ios else "\n"
    return "".join(
        f"{form.render(message.time)}{message.sender}: {message.text}{newline}"
        for message in messages
    )


def parse(text: str, order: DateOrder, block: int = 1 << 20) -> list[Message]:
    layout = detect_layout(io.StringIO(text, newline="\n"), order, block)
    assert layout is not None
    return list(read_messages(io.StringIO(text, newline="\n"), layout, 0, Tally(), block))


@st.composite
def chats(draw: st.DrawFn, form: Form) -> list[Message]:
    rows = draw(st.lists(st.tuples(TIMES, st.sampled_from(SENDERS), TEXTS), min_size=1, max_size=6))
    for _, _, text in rows:
        assume(text and not HEADER.search(f"\n{text}"))
        assume(BodyClassifier(form.ios).pieces(text) == [("text", text, True)])
    begun = [(sender, text.partition(": ")[0]) for _, sender, text in rows if ": " in text]
    assume(len(begun) == len(set(begun)))  # else `Ann: re: …` may be somebody called `Ann: re`
    kept = 1 if form.has_seconds else 0
    return [
        Message(time.replace(microsecond=0, second=time.second * kept), sender, text, "text", 0)
        for time, (_, sender, text) in zip(sorted(row[0] for row in rows), rows, strict=True)
    ]


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_what_was_rendered_is_read(name: str, data: st.DataObject) -> None:
    form = FORMS[name]
    messages = data.draw(chats(form))

    assert parse(render(messages, form), form.order) == messages


@pytest.mark.parametrize("name", ["en-GB", "ios en-GB"])
@settings(max_examples=50, deadline=None)
@given(data=st.data(), block=st.integers(1, 100))
def test_how_much_is_read_at_a_time_does_not_matter(
    name: str, data: st.DataObject, block: int
) -> None:
    form = FORMS[name]
    messages = data.draw(chats(form))

    assert parse(render(messages, form), form.order, block) == messages


MINUTES = st.integers(0, 5).map(lambda minute: datetime(2024, 1, 1, 0, minute))
CHATS = st.lists(st.builds(Message, MINUTES, st.sampled_from("ab"), st.sampled_from("xy")))


@given(st.lists(CHATS, max_size=3))
def test_merging_keeps_the_newest_export_whole_and_invents_nothing(
    exports: list[list[Message]],
) -> None:
    merged = merge(exports)

    for message in merged:
        assert merged.count(message) <= max(export.count(message) for export in exports)
    newest = sorted(filter(None, exports), key=lambda chat: max(m.time for m in chat))[-1:]
    rest = iter(merged)
    for message in itertools.chain(*newest):
        assert message in rest  # in this order


@given(CHATS)
def test_merging_an_export_with_itself_changes_nothing(export: list[Message]) -> None:
    assert merge([export, export]) == export


@given(CHATS, st.integers(0, 5))
def test_an_overlapping_piece_of_a_chat_adds_nothing(chat: list[Message], cut: int) -> None:
    chat = sorted(chat, key=lambda message: message.time)

    assert merge([chat, chat[cut:]]) == chat
    assert merge([chat[cut:], chat]) == chat
