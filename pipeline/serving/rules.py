"""How a reply is drawn: the sampling that was set, the ids that never come, where it ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields

from minbpe.base import Tokenizer
from pipeline.config import Chat
from pipeline.dialogue.template import end_id
from pipeline.errors import SettingsError
from pipeline.serving.endings import Bubbles, Ending, Loops, Others
from pipeline.serving.facts import Facts
from transformer.config import ConfigError
from transformer.decoder import Decoder
from transformer.generate import Sampling

DRAWS = 4  # of a reply that comes out empty
LONGEST = 160  # tokens of a reply, where nobody's habits are known


def sampling(chat: Chat) -> Sampling:
    """The settings that the sampling knows; SettingsError where one is impossible."""
    try:
        return Sampling(**{f.name: getattr(chat, f.name) for f in fields(Sampling)})
    except ConfigError as error:
        raise SettingsError(f"chat: {error}.") from None


def forbidden(tokenizer: Tokenizer, decoder: Decoder) -> list[int]:
    """Control tokens but the one that ends a turn, and ids that no token has."""
    end = end_id(tokenizer)
    beyond = range(tokenizer.size, decoder.config.vocab_size)
    return [*(i for i in tokenizer.special.values() if i != end), *beyond]


def endings(facts: Facts, voice: str, me: str = "") -> list[Ending]:
    """Where a reply of a voice must end, though the model would go on."""
    names = {*facts.voices, *facts.partners, facts.persona, me} - {""}
    habits = facts.habits.get(voice)
    usual = [Bubbles(habits.messages[1])] if habits else []
    return [Loops(), Others(names), *usual]


def longest(facts: Facts, chat: Chat, voice: str) -> int:
    """Tokens of a reply at most: as set, or as nearly all of the voice's own have."""
    if chat.max_tokens != "auto":
        return chat.max_tokens
    habits = facts.habits.get(voice)
    return habits.tokens if habits else LONGEST


def ended(text: str, rules: Sequence[Ending] = ()) -> str:
    """A whole reply up to where the rules would have ended it word by word, without blank lines."""
    stops = (match.start() for match in re.finditer(r"(?<=\S)(?!\S)", text))
    found = ((rule, text[:stop]) for stop in (*stops, len(text)) for rule in rules)
    places = (rule.found(said, True) for rule, said in found)
    end = next((place for place in places if place is not None), len(text))
    lines = (line.strip() for line in text[:end].split("\n"))
    return "\n".join(line for line in lines if line)
