"""Personal data: what is recognized, in labeled messages and in every country's numbers."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from pathlib import Path

import phonenumbers
import pytest
from stdnum import iban

from pipeline.cleaning.clean import CleaningLog, clean
from pipeline.cleaning.message_rules import RULES
from pipeline.cleaning.personal import (
    FINDERS,
    accounts,
    cards,
    finder,
    home_countries,
    is_only_placeholders,
    mask,
    phones,
)
from pipeline.cleaning.ruleset import build_rules
from pipeline.exports.message import Message

LABELED = Path(__file__).resolve().parents[1] / "data" / "personal.txt"
MARK = re.compile("⟦(\\w+):(.*?)⟧")
KINDS = [kind for kind in FINDERS if kind != "words"]
Labels = set[tuple[str, int, int]]  # (kind, start, end)


def labeled(line: str) -> tuple[str, Labels]:
    """The text of a line without its ⟦kind:…⟧ labels, and the labels."""
    text, labels, position = "", set(), 0
    for match in MARK.finditer(line):
        text += line[position : match.start()]
        labels.add((match[1], len(text), len(text) + len(match[2])))
        text += match[2]
        position = match.end()
    return text + line[position:], labels


def recognized(text: str) -> Labels:
    """The spans that the finders yield, in their order, without overlaps."""
    labels: Labels = set()
    for kind in FINDERS:
        for start, end in finder(kind)(text):
            if all(
                end <= other_start or start >= other_end for _, other_start, other_end in labels
            ):
                labels.add((kind, start, end))
    return labels


def test_precision_and_recall_on_the_labeled_messages() -> None:
    right: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for line in LABELED.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("# "):
            continue
        text, expected = labeled(line)
        got = recognized(text)
        right.update(kind for kind, *_ in expected & got)
        missed.update(kind for kind, *_ in expected - got)
        wrong.update(kind for kind, *_ in got - expected)

    assert all(right[kind] + missed[kind] >= 30 for kind in KINDS)
    assert right.total() / (right.total() + missed.total()) >= 0.98
    assert right.total() / (right.total() + wrong.total()) >= 0.98
    for kind in KINDS:
        assert right[kind] / (right[kind] + missed[kind]) >= 0.96
        assert right[kind] / (right[kind] + wrong[kind]) >= 0.96


def test_example_numbers_of_every_country() -> None:
    written, read, at_home = 0, 0, 0
    for country in phonenumbers.SUPPORTED_REGIONS:
        number = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
        number = number or phonenumbers.example_number(country)
        if number is None:
            continue
        written += 1
        forms = phonenumbers.PhoneNumberFormat
        abroad = phonenumbers.format_number(number, forms.INTERNATIONAL)
        home = phonenumbers.format_number(number, forms.NATIONAL)
        read += [*phones(f"call {abroad} ok")] == [(5, 5 + len(abroad))]
        at_home += any(True for _ in phones(f"call {home} ok", [country]))

    assert read / written >= 0.98
    assert at_home / written >= 0.95


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[link youtu.be]", True),
        ("[phone]\n@[name]", True),
        ("[…] […]", True),
        ("call [phone]", False),
        ("[sighs]", False),
        ("", False),
    ],
)
def test_placeholders_alone_say_nothing(text: str, expected: bool) -> None:
    assert is_only_placeholders(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see (https://www.Example.com/a_(b)?x=1).", "see ([link example.com])."),
        ("http://192.0.2.7/x!", "[link]!"),
        ("a@example.com, b@example.com", "[email], [email]"),
        ("@\u2068Ann Lee\u2069 come", "@[name] come"),
        ("DE89 3704 0044 0532 0130 00 thanks", "[account] thanks"),
        ("4111 1111 1111 1111", "[card]"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("+44 7700 900123 or 51.50214, -0.12740", "[phone] or [place]"),
        ("code 12345678.", "code [number]."),
        ("Tel:+44 7700 900123", "Tel:[phone]"),
        ("+1 415 555 2671: Ann", "[phone]: Ann"),
        ("at 10:30:45, 1,234,567 or 3.141592", "at 10:30:45, 1,234,567 or 3.141592"),
        ("Rumpelstilzchen and rumpelstilzchens", "[…] and rumpelstilzchens"),
    ],
)
def test_placeholders(text: str, expected: str) -> None:
    for kind in FINDERS:
        text = mask(text, kind, finder(kind, (), ["Rumpelstilzchen"]))

    assert text == expected


@pytest.mark.parametrize(
    ("text", "is_one"),
    [  # the examples of python-stdnum's own pages, and a digit changed in each
        ("GR16 0110 1050 0000 1054 7023 795", True),
        ("BE31435411161155", True),
        ("GR16 0110 1050 0000 1054 7023 796", False),
        ("BE31435411161156", False),
    ],
)
def test_accounts(text: str, is_one: bool) -> None:
    assert [*accounts(f"to {text} ok")] == ([(3, 3 + len(text))] if is_one else [])


def test_every_account_with_a_check_of_its_own_is_found() -> None:
    for country, digits in (("DE", "370400440532013000"), ("NO", "86011117947")):
        for check in range(100):
            text = f"{country}{check:02}{digits}"
            assert bool([*accounts(text)]) == iban.is_valid(text)


def test_numbers_that_only_look_right() -> None:
    assert not [*accounts("DE88 3704 0044 0532 0130 00"), *cards("1234 5678 9012 3452")]


def message(text: str) -> Message:
    return Message(datetime(2024, 3, 5), "Ann", text, "text", 0)


def run(texts: list[str], preset: str, **actions: str) -> tuple[list[str], CleaningLog]:
    log = CleaningLog()
    rules = build_rules(preset, tuple(RULES), actions)
    return [m.text for m in clean(map(message, texts), rules, log)], log


def test_numbers_dialled_at_home_are_known_by_the_international_ones_of_the_chat() -> None:
    assert home_countries(["+44 7911 123456", "Ann", "+1 415 555 2671"]) == ("GB", "US")
    assert home_countries(["+250 000", "1 + 1", "+1 000 000"]) == ()


LOOSE = (
    "DE",
    "GB",
    "IT",
    "DK",
    "NO",
    "BE",
    "AT",
    "US",
)  # with loose plans


@pytest.mark.parametrize(
    "text",
    [
        "25/03/2024",
        "25.03.2024",
        "2024-03-05",
        "am 05.03.2024",
        "the 2023/24 season",
        "2023-2024",
        "350.000 Euro",
        "at 10:30:45",
        "room 12, 3rd floor",
        "1 2 3 4 5 6 7 8 9 10",
    ],
)
def test_dates_and_amounts_are_no_numbers_of_any_country(text: str) -> None:
    assert not [text[start:end] for start, end in phones(text, LOOSE)]


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        (["王伟"], "我和王伟去吃饭", "我和[…]去吃饭"),
        (["민수"], "민수가 왔어", "[…]가 왔어"),
        (["Ann"], "Anna and Ann", "Anna and […]"),
    ],
)
def test_private_words_in_scripts_that_part_words_and_in_others(
    words: list[str], text: str, expected: str
) -> None:
    assert mask(text, "words", finder("words", (), words)) == expected


def test_an_address_within_a_link_goes_with_the_link() -> None:
    said = ["https://user@example.com/private/token"]
    assert run(said, "private")[0] == ["[link example.com]"]


def test_presets_and_actions() -> None:
    said = ["www.example.com x", "hi @Bob", "a@example.com"]

    assert run(said, "reference")[0] == ["hi"]
    assert run(said, "private")[0] == ["[link example.com] x", "hi @[name]", "[email]"]
    assert run(said, "private", email="drop", link="keep")[0] == ["www.example.com x", "hi @[name]"]
    assert run(said, "reference", email="mask", mention="keep")[0] == ["hi @Bob", "[email]"]


def test_what_was_masked_is_told_with_examples() -> None:
    _, log = run(["a@example.com", "b@example.com", "hi"], "private")

    assert log.counts["email"] == 2
    assert log.examples() == {"email": ["a@example.com", "b@example.com"]}
    assert {change.action for change in log.changes} == {"masked"}


def test_forwards_and_walls_are_not_speech() -> None:
    forward = "pass this on to everyone you know, " * 5
    kept, log = run([forward, "ok", forward.upper(), "ok", "wall " * 500, "a\n" * 50], "private")

    assert kept == [forward, "ok", "ok"]
    assert (log.counts["forward"], log.counts["wall"]) == (1, 2)
    assert len(run([forward, forward, "w" * 3000], "reference")[0]) == 3


@pytest.mark.parametrize(
    "text", ["1 " * 50_000, "a.@" * 30_000, "AB12 " * 20_000, "1.23456," * 12_000, "(" * 90_000]
)
def test_no_text_takes_long(text: str) -> None:
    for kind in FINDERS:
        mask(text, kind, finder(kind, ["GB"], ["x"]))
