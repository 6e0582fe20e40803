"""How a token looks on a screen."""

from __future__ import annotations

from minbpe.io.vocab_txt import readable


def visible(token: bytes) -> str:
    """A token as the screen shows it: spaces and control characters can be seen."""
    return readable(token)[1:-1].replace(r"\"", '"').replace(" ", "␣")
