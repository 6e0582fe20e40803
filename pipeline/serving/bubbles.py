"""A reply on the screen while it is drawn."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text


def print_bubbles(console: Console, name: Text, pieces: Iterator[str]) -> bool:
    """Print each line of a reply after the name; False when Ctrl-C cut it short."""
    at_start = whole = True
    try:
        for piece in pieces:
            for n, part in enumerate(piece.split("\n")):
                if n and not at_start:
                    console.print()
                    at_start = True
                if part:
                    if at_start:
                        console.print(name, end="")
                    console.print(Text(part), end="", soft_wrap=True)
                    at_start = False
    except KeyboardInterrupt:
        pieces.close()  # type: ignore[attr-defined]  # it is a generator
        console.print(" …", end="")
        at_start = whole = False
    if not at_start:
        console.print()
    return whole
