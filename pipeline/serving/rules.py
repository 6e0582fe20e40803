"""How a reply is drawn: what the settings of the chat ask of the sampling, and what never comes."""

from __future__ import annotations

from minbpe.base import Tokenizer
from pipeline.config import Chat
from pipeline.dialogue.template import end_id
from transformer.decoder import Decoder
from transformer.sampling import Sampling


def sampling(chat: Chat) -> Sampling:
    """The settings that the sampling knows."""
    return Sampling(
        temperature=chat.temperature,
        top_k=chat.top_k,
        top_p=chat.top_p,
        min_p=chat.min_p,
        repetition_penalty=chat.repetition_penalty,
    )


def forbidden(tokenizer: Tokenizer, decoder: Decoder) -> list[int]:
    """Control tokens but the one that ends a turn, and ids that no token has."""
    end = end_id(tokenizer)
    beyond = range(tokenizer.size, decoder.config.vocab_size)
    return [*(i for i in tokenizer.special.values() if i != end), *beyond]


def tidy(text: str) -> str:
    """A reply without blank lines and without space around its messages."""
    lines = (line.strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
