"""What to type in a terminal in this folder: to install a package which few need, say."""

from __future__ import annotations

import sys
from pathlib import Path


def install(packages: str) -> str:
    """The line that installs some packages for the very Python that runs."""
    return f"{python()} -m pip install {packages}"


def python() -> str:
    """The Python that runs."""
    return typed(Path(sys.executable.removesuffix(".exe")))


def typed(path: Path) -> str:
    """A path as it is typed: no longer than need be, and quoted where it has blanks."""
    here = Path.cwd()
    name = str(path.relative_to(here) if path.is_relative_to(here) else path)
    return f'"{name}"' if " " in name else name
