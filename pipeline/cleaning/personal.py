"""Finding personal data in what people write, and what to put in its place.

Each finder yields the places of one kind in a text. Numbers count by what makes them what they are:
cards and accounts by their checksums (python-stdnum), telephone numbers by each country's plan
(phonenumbers); both libraries are loaded when first needed. All patterns are bounded, so that no
text takes long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial

Span = tuple[int, int]
Finder = Callable[[str], Iterator[Span]]

# Scripts that put no space around an address are no part of it.
_L = r"[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
_EMAIL = re.compile(
    rf"(?<![A-Za-z0-9_.+'’\-])(?:{_L}|[.+'’\-]){{1,64}}@{_L}(?:{_L}|-){{0,62}}(?:\.{_L}(?:{_L}|-){{0,62}}){{1,6}}"
)
_LINK = re.compile(r"(?<![A-Za-z0-9_])(?:(?:https?|ftp)://|www\.)(?=\w)\S{1,2000}", re.IGNORECASE)
_HOST = re.compile(r"(?:\w+://)?(?:[^/@\s]*@)?(?:www\.)?([^/:?#\s]+)", re.IGNORECASE)
_NAME = r"(?>\u2068[^\u2069\n]{1,200}\u2069|[^\W\d_](?:[\w.\-]{0,60}\w)?|\d{6,20})"
MENTION = rf"(?<![\w.+\-@])@{_NAME}(?!@)"
_PLACES = (
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
# A date, two years, an amount, or counting: digits that are parted as those of no number are.
_NO_NUMBER = re.compile(
    r"\d{1,4}([./\-])\d{1,2}\1\d{1,4}|(?:19|20)\d\d[/\-]\d{2,4}|\d{1,3}(?:\.\d{3})+"
    r"|\d(?: \d\d?)+"
)
_DIGITS = re.compile(r"(?<![\w.,])\d{7,}(?![.,]?\w)")
# What the number of a card begins with, and how long it is.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|6(?:011|5\d\d)\d{12}|35\d{14}|62\d{14,17}|(?:50|5[6-9]|6[0-9])\d{10,17}"
)
_LEAST_ACCOUNT = 15
_NEAR_NULL = 4.0  # degrees; a pair of smaller numbers lies in the sea, and is rather mathematics


def emails(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from (match.span() for match in _EMAIL.finditer(text))


def links(text: str) -> Iterator[Span]:
    """Without the punctuation that ends the sentence around it."""
    for match in _LINK.finditer(text):
        link = match[0]
        while link and (link[-1] in ".,;:!?'\"»”’>*_" or _closes(link)):
            link = link[:-1]
        yield match.start(), match.start() + len(link)


def _closes(link: str) -> bool:
    return link[-1] in ")]" and link.count(")") + link.count("]") > link.count("(") + link.count(
        "["
    )


def mentions(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from (match.span() for match in _mention().finditer(text))


@cache
def _mention() -> re.Pattern[str]:
    return re.compile(MENTION)


def coordinates(text: str) -> Iterator[Span]:
    """Pairs of degrees on the globe, decimal or with minutes and seconds."""
    for pattern in _PLACES:
        for match in pattern.finditer(text):
            north, east = float(match[1]), float(match[2])
            is_small = "°" not in match[0] and max(abs(north), abs(east)) < _NEAR_NULL
            if abs(north) <= 90 and abs(east) <= 180 and not is_small:
                yield match.span()


def accounts(text: str) -> Iterator[Span]:
    """International bank account numbers (ISO 13616), in groups or not."""
    for match in _ACCOUNT.finditer(text):
        end = len(match[0])
        while end >= _LEAST_ACCOUNT:
            if match[0][end - 1] != " " and _is_account(match[0][:end]):
                yield match.start(), match.start() + end
                break
            end -= 1


def _is_account(text: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(text, check_country=False))


def cards(text: str) -> Iterator[Span]:
    """Payment cards: an issuer's prefix and length (ISO 7812), and the Luhn digit."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if _ISSUERS.fullmatch(digits) and _is_luhn(digits):
            yield match.span()


def _is_luhn(digits: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(digits))


def phones(text: str, countries: Sequence[str] = ()) -> Iterator[Span]:
    """Telephone numbers: international ones, and those of `countries` as they are dialled there.

    `countries` are codes such as "GB".
    """
    for match in _PHONE.finditer(text):
        if match[0].startswith(("+", "00")):
            is_one = _is_international(match[0])
        else:
            is_one = any(_is_at_home(match[0], country) for country in countries)
        if is_one:
            yield match.span()


def _is_international(text: str) -> bool:
    """With its country's code a number is meant as one even where nobody has it."""
    import phonenumbers

    try:
        number = phonenumbers.parse("+" + text.removeprefix("00").removeprefix("+"))
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_possible_number(number))


def _is_at_home(text: str, country: str) -> bool:
    """As it is dialled within a country, the 0 before it included where that has one."""
    from phonenumbers import Leniency, PhoneNumberMatcher

    if _NO_NUMBER.fullmatch(text):
        return False
    return any(True for _ in PhoneNumberMatcher(text, country, Leniency.VALID))


def home_countries(senders: Iterable[str]) -> tuple[str, ...]:
    """The countries of the people who are known by an international number: numbers as they are
    dialled at home are probably theirs."""
    import phonenumbers

    found: set[str] = set()
    for number in {sender for sender in senders if "+" in sender}:
        try:
            parsed = phonenumbers.parse(number)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            found.add(phonenumbers.region_code_for_country_code(parsed.country_code or 0))
    return tuple(sorted(found))


def long_numbers(text: str) -> Iterator[Span]:
    yield from (match.span() for match in _DIGITS.finditer(text))


def words(text: str, listed: Sequence[str] = ()) -> Iterator[Span]:
    """The names and words that the user lists, whole and in any case."""
    if listed:
        yield from (match.span() for match in _words(tuple(listed)).finditer(text))


@cache
def _words(listed: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(listed, key=len, reverse=True)
    return re.compile("|".join(map(_whole, longest_first)), re.IGNORECASE)


# Thai to Myanmar, Khmer, kana, Chinese characters, Hangul: a word may stand right beside another.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"


def _whole(word: str) -> str:
    """A pattern for a word where no letter stands beside it, if its script parts words at all."""
    before = "" if re.match(f"[{_UNSPACED}]", word) else r"(?<!\w)"
    after = "" if re.search(f"[{_UNSPACED}]$", word) else r"(?!\w)"
    return f"{before}{re.escape(word)}{after}"


def site(link: str) -> str:
    """`[link example.com]`: the site's name may stay, unless it is a mere number."""
    match = _HOST.match(link)
    host = match[1].lower() if match else ""
    return f"[link {host}]" if re.search(r"[^\W\d_]", host) else "[link]"


FINDERS: dict[str, tuple[Finder, Callable[[str], str]]] = {
    "link": (links, site),
    "email": (emails, lambda _: "[email]"),
    "mention": (mentions, lambda _: "@[name]"),
    "coordinates": (coordinates, lambda _: "[place]"),
    "iban": (accounts, lambda _: "[account]"),
    "card": (cards, lambda _: "[card]"),
    "phone": (phones, lambda _: "[phone]"),
    "digits": (long_numbers, lambda _: "[number]"),
    "words": (words, lambda _: "[…]"),
}
"""Kind to its finder and its placeholder, in the order in which they are looked for."""


_PLACEHOLDER = re.compile(
    r"\[(?:link(?: [^\s\[\]]+)?|email|place|account|card|phone|number|…)\]|@\[name\]"
)


def says_nothing(text: str) -> bool:
    """Whether a text is placeholders alone."""
    rest, count = _PLACEHOLDER.subn("", text)
    return bool(count) and not rest.strip()


def finder(kind: str, countries: Sequence[str] = (), listed: Sequence[str] = ()) -> Finder:
    """The finder of a kind, told what it has to know."""
    told = {"phone": partial(phones, countries=countries), "words": partial(words, listed=listed)}
    return told.get(kind, FINDERS[kind][0])


def mask(text: str, kind: str, find: Finder) -> str:
    """`text` with every find replaced by the placeholder of its kind."""
    placeholder = FINDERS[kind][1]
    pieces, done = [], 0
    for start, end in sorted(find(text)):
        if start >= done:
            pieces += [text[done:start], placeholder(text[start:end])]
            done = end
    return "".join([*pieces, text[done:]]) if pieces else text
