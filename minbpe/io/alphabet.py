"""GPT-2's alphabet: one printable character for each byte, so that bytes can be keys in JSON.

A byte that is a visible Latin-1 character stands for itself; the others, space among them, take
the characters from U+0100 up (`bytes_to_unicode` in GPT-2's encoder.py).
"""

from __future__ import annotations

from minbpe.base import BYTES


def _letters() -> list[str]:
    substitutes = map(chr, range(0x100, 0x200))
    visible = [chr(byte).isprintable() and byte != ord(" ") for byte in range(BYTES)]
    return [chr(byte) if visible[byte] else next(substitutes) for byte in range(BYTES)]


LETTERS = _letters()
_BYTES = {letter: byte for byte, letter in enumerate(LETTERS)}


def spell(token: bytes) -> str:
    """The token's bytes as letters."""
    return "".join(LETTERS[byte] for byte in token)


def unspell(spelled: str) -> bytes | None:
    """The bytes behind the letters; None when one of them is not of this alphabet."""
    try:
        return bytes(_BYTES[letter] for letter in spelled)
    except KeyError:
        return None
