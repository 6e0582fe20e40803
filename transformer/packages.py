"""Commands to type in a terminal, as messages show them: how to install a package, say."""

from __future__ import annotations

import sys
from pathlib import Path


def install(packages: str) -> str:
    """The command that installs packages for the Python that is running."""
    return f"{python()} -m pip install {packages}"


def python() -> str:
    """The Python that is running."""
    return typed(Path(sys.executable.removesuffix(".exe")))


def typed(path: Path) -> str:
    """A path as one types it: relative where it can be, quoted where it has spaces."""
    here = Path.cwd()
    name = str(path.relative_to(here) if path.is_relative_to(here) else path)
    return f'"{name}"' if " " in name else name
