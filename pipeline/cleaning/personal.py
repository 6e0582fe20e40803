"""Find personal data in what people write, and replace it with placeholders.

Each finder yields the spans of one kind in a text. Numbers are validated: cards and accounts by
their checksums (python-stdnum), telephone numbers by each country's numbering plan (phonenumbers);
both libraries are loaded when first needed. All patterns are bounded, so that no text takes long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

from pipeline.exports.message import Message

Span = tuple[int, int]  # start, end
Finder = Callable[[str], Iterator[Span]]

# A letter or digit, but not of scripts that put no space between an address and what follows.
_L = r"[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
_EMAIL = re.compile(
    rf"(?<![A-Za-z0-9_.+'’\-])(?:{_L}|[.+'’\-]){{1,64}}@{_L}(?:{_L}|-){{0,62}}(?:\.{_L}(?:{_L}|-){{0,62}}){{1,6}}"
)
_LINK = re.compile(r"(?<![A-Za-z0-9_])(?:(?:https?|ftp)://|www\.)(?=\w)\S{1,2000}", re.IGNORECASE)
_HOST = re.compile(r"(?:\w+://)?(?:[^/@\s]*@)?(?:www\.)?([^/:?#\s]+)", re.IGNORECASE)
_NAME = r"(?>\u2068[^\u2069\n]{1,200}\u2069|[^\W\d_](?:[\w.\-]{0,60}\w)?|\d{6,20})"
MENTION = rf"(?<![\w.+\-@])@{_NAME}(?!@)"
_COORDINATES = (
    re.compile(
        r"(?<![\w.])([-+]?\d{1,3}\.\d{4,15})°?[,;]?\s{0,2}([-+]?\d{1,3}\.\d{4,15})(?![\w.])"
    ),
    re.compile(
        r"(?<![\w.])(\d{1,3}(?:\.\d{1,12})?)°[^\n°]{0,14}?[NSns],?\s{0,2}"
        r"(\d{1,3}(?:\.\d{1,12})?)°[^\n°]{0,14}?[EWOewo](?!\w)"
    ),
)
_ACCOUNT = re.compile(r"(?<![^\W_])[A-Z]{2}\d\d(?: ?[A-Z0-9]){11,30}(?![a-z])")
_CARD = re.compile(r"(?<![\d.,])\d(?:[ \-]?\d){11,18}(?![\d])")
_PHONE = re.compile(
    r"(?:(?<![\w+])\+|(?<![\w.,:/+$€£\-])(?:00)?)"
    r"\(?\d(?:[\s().\-‑/]{0,3}\d){5,16}(?![\w%]|[:/.,]\d)"
)
# A date, two years, an amount, or counting: no telephone number separates its digits like this.
_NOT_A_PHONE = re.compile(
    r"\d{1,4}([./\-])\d{1,2}\1\d{1,4}|(?:19|20)\d\d[/\-]\d{2,4}|\d{1,3}(?:\.\d{3})+"
    r"|\d(?: \d\d?)+"
)
_DIGITS = re.compile(r"(?<![\w.,])\d{7,}(?![.,]?\w)")
# How the number of a card begins, and how long it is.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|6(?:011|5\d\d)\d{12}|35\d{14}|62\d{14,17}|(?:50|5[6-9]|6[0-9])\d{10,17}"
)
_MIN_ACCOUNT = 15  # characters
_MIN_DEGREES = 4.0  # a pair of smaller numbers lies in the sea, and is rather mathematics


def emails(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from (match.span() for match in _EMAIL.finditer(text))


def links(text: str) -> Iterator[Span]:
    """Web addresses, without the punctuation of the sentence around them."""
    for match in _LINK.finditer(text):
        link = match[0]
        while link and (link[-1] in ".,;:!?'\"»”’>*_" or _has_unopened_bracket(link)):
            link = link[:-1]
        yield match.start(), match.start() + len(link)


def _has_unopened_bracket(link: str) -> bool:
    """Whether the bracket that ends `link` was opened before it."""
    opened, closed = (sum(map(link.count, brackets)) for brackets in ("([", ")]"))
    return link[-1] in ")]" and closed > opened


def mentions(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from (match.span() for match in re.finditer(MENTION, text))


def coordinates(text: str) -> Iterator[Span]:
    """Pairs of degrees on the globe, decimal or with minutes and seconds."""
    for pattern in _COORDINATES:
        for match in pattern.finditer(text):
            north, east = float(match[1]), float(match[2])
            is_small = "°" not in match[0] and max(abs(north), abs(east)) < _MIN_DEGREES
            if abs(north) <= 90 and abs(east) <= 180 and not is_small:
                yield match.span()


def accounts(text: str) -> Iterator[Span]:
    """International bank account numbers (ISO 13616), grouped or not."""
    for match in _ACCOUNT.finditer(text):
        end = len(match[0])
        while end >= _MIN_ACCOUNT:
            if match[0][end - 1] != " " and _is_account(match[0][:end]):
                yield match.start(), match.start() + end
                break
            end -= 1


def _is_account(text: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(text, check_country=False))


def cards(text: str) -> Iterator[Span]:
    """Payment cards: a prefix and length of some issuer (ISO 7812), and a valid Luhn digit."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if _ISSUERS.fullmatch(digits) and _is_luhn(digits):
            yield match.span()


def _is_luhn(digits: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(digits))


def phones(text: str, countries: Sequence[str] = ()) -> Iterator[Span]:
    """Telephone numbers: international ones, and national ones of `countries`, such as "GB"."""
    for match in _PHONE.finditer(text):
        if match[0].startswith(("+", "00")):
            is_phone = _is_international(match[0])
        else:
            is_phone = any(_is_national(match[0], country) for country in countries)
        if is_phone:
            yield match.span()


def _is_international(text: str) -> bool:
    """A possible number is enough: with a country code it is meant as one even if unassigned."""
    import phonenumbers

    try:
        number = phonenumbers.parse("+" + text.removeprefix("00").removeprefix("+"))
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_possible_number(number))


def _is_national(text: str, country: str) -> bool:
    """Whether `text` is a valid number as dialed within the country, with its leading 0 if any."""
    from phonenumbers import Leniency, PhoneNumberMatcher

    if _NOT_A_PHONE.fullmatch(text):
        return False
    return any(True for _ in PhoneNumberMatcher(text, country, Leniency.VALID))


def home_countries(senders: Iterable[str]) -> tuple[str, ...]:
    """The countries of senders who are known by an international number.

    National numbers in the chat are probably from these countries.
    """
    import phonenumbers

    countries: set[str] = set()
    for number in {sender for sender in senders if "+" in sender}:
        try:
            parsed = phonenumbers.parse(number)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            countries.add(phonenumbers.region_code_for_country_code(parsed.country_code or 0))
    return tuple(sorted(countries))


def long_numbers(text: str) -> Iterator[Span]:
    yield from (match.span() for match in _DIGITS.finditer(text))


def private_words(text: str, words: Sequence[str] = ()) -> Iterator[Span]:
    """The names and words that the user listed, as whole words in any case."""
    if words:
        yield from (match.span() for match in _words_pattern(tuple(words)).finditer(text))


@cache
def _words_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile("|".join(map(_whole_word, longest_first)), re.IGNORECASE)


# Thai to Myanmar, Khmer, kana, Chinese characters, Hangul: scripts without spaces between words.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"


def _whole_word(word: str) -> str:
    """A pattern for a word without letters beside it, if its script puts spaces between words."""
    before = "" if re.match(f"[{_UNSPACED}]", word) else r"(?<!\w)"
    after = "" if re.search(f"[{_UNSPACED}]$", word) else r"(?!\w)"
    return f"{before}{re.escape(word)}{after}"


def _link_placeholder(link: str) -> str:
    """`[link example.com]`: the host may stay, unless it is a number."""
    match = _HOST.match(link)
    host = match[1].lower() if match else ""
    return f"[link {host}]" if re.search(r"[^\W\d_]", host) else "[link]"


FINDERS: dict[str, tuple[Finder, Callable[[str], str]]] = {
    "link": (links, _link_placeholder),
    "email": (emails, lambda _: "[email]"),
    "mention": (mentions, lambda _: "@[name]"),
    "coordinates": (coordinates, lambda _: "[place]"),
    "iban": (accounts, lambda _: "[account]"),
    "card": (cards, lambda _: "[card]"),
    "phone": (phones, lambda _: "[phone]"),
    "digits": (long_numbers, lambda _: "[number]"),
    "words": (private_words, lambda _: "[…]"),
}
"""Kind → its finder and its placeholder, in the order in which they are applied."""


_PLACEHOLDER = re.compile(
    r"\[(?:link(?: [^\s\[\]]+)?|email|place|account|card|phone|number|…)\]|@\[name\]"
)


def is_only_placeholders(text: str) -> bool:
    """Whether nothing but placeholders is left of a text."""
    rest, count = _PLACEHOLDER.subn("", text)
    return bool(count) and not rest.strip()


def finder(kind: str, countries: Sequence[str] = (), words: Sequence[str] = ()) -> Finder:
    """The finder of a kind; that of "phone" uses `countries`, that of "words" `words`."""
    if kind == "phone":
        return partial(phones, countries=countries)
    if kind == "words":
        return partial(private_words, words=words)
    return FINDERS[kind][0]


def mask(text: str, kind: str, find: Finder) -> str:
    """`text` with every span that `find` yields replaced by the placeholder of the kind."""
    placeholder = FINDERS[kind][1]
    pieces, done = [], 0
    for start, end in sorted(find(text)):
        if start >= done:
            pieces += [text[done:start], placeholder(text[start:end])]
            done = end
    return "".join([*pieces, text[done:]]) if pieces else text


def speaker_placeholders(messages: Iterable[Message], persona: str) -> dict[str, str]:
    """Person 1, Person 2, … for the speakers in order of appearance; the persona keeps its name.

    An export that begins with the same messages gives the same placeholders.
    """
    placeholders = {persona: persona}
    for message in messages:
        if message.sender is not None:
            placeholders.setdefault(message.sender, f"Person {len(placeholders)}")
    return placeholders


def rename_speakers(messages: Iterable[Message], names: Mapping[str, str]) -> list[Message]:
    """The messages with senders renamed by `names`; a sender not in it keeps its name.

    Names within a text stay; `clean.private_words` is for these.
    """
    return [
        message
        if message.sender is None
        else replace(message, sender=names.get(message.sender, message.sender))
        for message in messages
    ]
