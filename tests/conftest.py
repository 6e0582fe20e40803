"""What several tests share: the developers' real text, and a screen that can be read."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import settings
from rich.console import Console

if "PYTEST_XDIST_WORKER" in os.environ:  # a process for each core: more threads would compete
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is loaded

settings.register_profile("any speed", deadline=None)  # how long an example takes fails no test
settings.load_profile("any speed")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real text that only the developers' machines have."""
    if not SHARED.is_dir():
        pytest.skip("needs the developers' shared data, which a user does not have")
    return SHARED


@pytest.fixture
def console() -> Console:
    """A console whose output can be read with `console.file.getvalue()`."""
    return Console(file=io.StringIO(), highlight=False, width=160, color_system=None)
