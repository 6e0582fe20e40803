"""How a reply is decided: the sampling settings, where it ends, and the words it never says.

The rules look at the text rather than at the tokens, since a word can be cut into tokens in many
ways, and they look at it while it is still being written. So each of them answers two questions:
`find`, where does it apply, and `pending`, could what comes next make it apply to what is here?
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import takewhile
from typing import Protocol

from minbpe.base import Tokenizer
from pipeline.common.errors import SettingsError
from pipeline.common.speakers import fold_characters
from pipeline.dialogue.template import end_id
from pipeline.serving.model_card import ModelCard
from pipeline.workspace.settings import Chat
from transformer.config import ConfigError
from transformer.decoder import Decoder
from transformer.generate import Sampling

MAX_DRAWS = 4  # attempts before an empty reply is accepted
DEFAULT_MAX_TOKENS = 160  # of a reply, where nobody's habits are known


# --- the settings --------------------------------------------------------------------------------


def sampling(chat: Chat) -> Sampling:
    """The chat's settings as the decoder takes them; SettingsError where one is impossible."""
    try:
        return Sampling(**{f.name: getattr(chat, f.name) for f in fields(Sampling)})
    except ConfigError as error:
        raise SettingsError(f"chat: {error}.") from None


def max_tokens(card: ModelCard, chat: Chat, voice: str) -> int:
    """The longest reply in tokens: as set, or as long as nearly all of the voice's own turns."""
    if chat.max_tokens != "auto":
        return chat.max_tokens
    habits = card.habits.get(voice)
    return habits.tokens if habits else DEFAULT_MAX_TOKENS


def forbidden_ids(tokenizer: Tokenizer, decoder: Decoder) -> list[int]:
    """Control tokens except the one that ends a turn, and ids that no token has."""
    end = end_id(tokenizer)
    unused = range(tokenizer.size, decoder.config.vocab_size)
    return [*(i for i in tokenizer.special.values() if i != end), *unused]


# --- the rules -----------------------------------------------------------------------------------


class Rule(Protocol):
    """Something that a reply must not contain."""

    def find(self, text: str, complete: bool) -> int | None:
        """The index at which the rule applies; None if it does not. `complete`: nothing follows."""

    def pending(self, text: str) -> bool:
        """Whether what comes next could make the rule apply at an index within `text`."""


def ending_rules(card: ModelCard, voice: str, me: str = "") -> list[Rule]:
    """What ends a reply of a voice although the model would go on."""
    names = {*card.voices, *card.partners, card.persona, me} - {""}
    habits = card.habits.get(voice)
    limit = [MaxMessages(habits.messages[1])] if habits else []
    return [Repetition(), OtherSpeakers(names), *limit]


def end_reply(text: str, rules: Sequence[Rule] = ()) -> str:
    """A complete reply, cut where the rules would have ended it word by word; no blank lines."""
    word_ends = (match.start() for match in re.finditer(r"(?<=\S)(?!\S)", text))
    prefixes = (text[:end] for end in (*word_ends, len(text)))
    cuts = (rule.find(prefix, True) for prefix in prefixes for rule in rules)
    cut = next((index for index in cuts if index is not None), len(text))
    lines = (line.strip() for line in text[:cut].split("\n"))
    return "\n".join(line for line in lines if line)


class AvoidedWords:
    """Words and phrases of `chat.avoid`, whatever their case, accents and punctuation."""

    def __init__(self, entries: Iterable[str]) -> None:
        self.entries = [f" {Words(entry).text.strip()} " for entry in entries]
        if "  " in self.entries:
            raise SettingsError("chat.avoid holds an entry without a letter, digit or symbol.")

    def find(self, text: str, complete: bool) -> int | None:
        words = words_of(text)
        closed = words.text + " " * complete
        starts = [start for entry in self.entries if (start := closed.find(entry)) >= 0]
        return words.positions[min(starts) + 1] if starts else None

    def pending(self, text: str) -> bool:
        if not self.entries:
            return False
        tail = words_of(text).text[-max(map(len, self.entries)) :]
        begun = [tail[n:] for n, c in enumerate(tail[:-1]) if c == " "]
        return any(entry.startswith(rest) for entry in self.entries for rest in begun)


class Repetition:
    """The same run of words again and again; the reply ends before the last one.

    People do say "no no no no" and send ten of one emoji, so a run of few different words may be
    repeated more often.
    """

    MIN_WORDS = 3  # in a run
    TIMES, FEW_WORDS_TIMES = 3, 8  # how often is too often

    def find(self, text: str, complete: bool) -> int | None:
        words = words_of(text)
        said = words.text.split()
        if not (complete or words.text.endswith(" ")):
            said = said[:-1]  # it may be the beginning of a longer word
        for size in range(self.MIN_WORDS, len(said) // self.TIMES + 1):
            run = said[-size:]
            if said[-2 * size : -size] != run:
                continue
            spoken = {word for word in run if any(map(str.isalnum, word))}
            times = self.TIMES if len(spoken) >= self.MIN_WORDS else self.FEW_WORDS_TIMES
            if said[-size * times :] == run * times:
                spaces = [n for n, c in enumerate(words.text) if c == " "]
                return words.positions[spaces[len(said) - size]]
        return None

    def pending(self, text: str) -> bool:
        said = words_of(text).text.split()
        sizes = range(self.MIN_WORDS, len(said) // 2 + 1)
        return any(_repeated_words(said, size) > size for size in sizes)


def _repeated_words(said: list[str], size: int) -> int:
    """How many words at the end equal those `size` words before; the last may be incomplete."""
    *pairs, last = zip(said[size:], said, strict=False)
    if not last[1].startswith(last[0]):
        return 0
    return 1 + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], reversed(pairs)))


class MaxMessages:
    """More messages in a row than this person sends."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def find(self, text: str, complete: bool) -> int | None:
        count = 0
        for line in re.finditer(r"[^\n]+\n", text):
            count += bool(line[0].strip())
            if count == self.limit:
                return line.end() - 1
        return None

    def pending(self, text: str) -> bool:
        return False


class OtherSpeakers:
    """A message that begins with a name and a colon, or a marker: somebody else's turn."""

    ROLES = ("user", "assistant", "system")
    MARKER = "<|"

    def __init__(self, names: Iterable[str]) -> None:
        known = (*names, *self.ROLES)
        self.heads = [f"{name.casefold()}:" for name in known]
        spellings = dict.fromkeys((*known, *map(str.casefold, known)))  # ß is not its casefold, ss
        either = "|".join(map(re.escape, spellings))
        marker = re.escape(self.MARKER)
        self.pattern = re.compile(rf"^[^\S\n]*(?:{either})[^\S\n]*:|{marker}", re.M | re.I)

    def find(self, text: str, complete: bool) -> int | None:
        head = self.pattern.search(text)
        return head.start() if head else None

    def pending(self, text: str) -> bool:
        line = text.rpartition("\n")[2].strip().casefold()
        begun = bool(line) and any(head.startswith(line) for head in self.heads)
        return begun or text.endswith(self.MARKER[0])


# --- a text as words -----------------------------------------------------------------------------


class Words:
    """The words of a text, folded, each after one space; a space at the end closes the last.

    `positions[n]` is the index in the text from which the n-th character of `self.text` comes; for
    a space, the index at which the word before it ends.
    """

    def __init__(self, text: str) -> None:
        folded, self.positions = [" "], [0]
        for index, char in enumerate(text):
            for n, c in enumerate(_folded(char)):
                if c != " " or folded[-1] != " ":
                    folded.append(c)
                    self.positions.append(index + (c == " " and n > 0))
        self.text = "".join(folded)


@lru_cache(maxsize=1 << 14)
def _folded(char: str) -> str:
    """What a character adds to a word: folded letters, a space where it separates two, or nothing.

    A symbol, such as an emoji, is a word by itself.
    """
    folded = ""
    for c in fold_characters(char).casefold():
        category = unicodedata.category(c)[0]
        folded += f" {c} " if category == "S" else c if category in "LNM" else " "
    return folded


@lru_cache(maxsize=8)
def words_of(text: str) -> Words:
    """The words of a text, cached because several rules ask for those of the same text."""
    return Words(text)
