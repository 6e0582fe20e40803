"""The terminal's encoding."""

from __future__ import annotations

import sys


def use_utf8() -> None:
    """Make the standard streams UTF-8: Windows still opens pipes in an old code page."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="replace")
