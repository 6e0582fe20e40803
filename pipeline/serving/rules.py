"""How a reply is drawn: the sampling that was set, the ids that never come, where it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from minbpe.base import Tokenizer
from pipeline.config import Chat
from pipeline.dialogue.template import end_id
from pipeline.serving.endings import Bubbles, Ending, Loops, Others
from pipeline.serving.facts import Facts
from transformer.decoder import Decoder
from transformer.sampling import Sampling

LONGEST = 160  # tokens of a reply, where nobody's habits are known


def sampling(chat: Chat) -> Sampling:
    """The settings that the sampling knows."""
    return Sampling(**{f.name: getattr(chat, f.name) for f in fields(Sampling)})


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


def ended(text: str, rules: Iterable[Ending]) -> str:
    """A whole reply up to where the rules end it, without blank lines."""
    places = [place for rule in rules if (place := rule.found(text, True)) is not None]
    lines = (line.strip() for line in text[: min(places, default=len(text))].split("\n"))
    return "\n".join(line for line in lines if line)
