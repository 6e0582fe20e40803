"""What several tests share: a small chat, a small tokenizer, a small workspace."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real text that only the developers' machines have."""
    if not SHARED.is_dir():
        pytest.skip("needs the developers' shared data, which a user does not have")
    return SHARED


def chat_lines(conversations: int, per_conversation: int = 12, start_day: int = 0) -> str:
    """An Android export of two people with steady habits, one conversation a day."""
    lines = []
    for day in range(start_day, start_day + conversations):
        time = datetime(2024, 1, 1, 9, 0) + timedelta(days=day)
        for n in range(per_conversation):
            who = ("Ana", "Ben", "Ben")[n % 3]
            said = {
                "Ana": f"good morning ben, is it {day} or {n} today?",
                "Ben": f"no idea lol, maybe {day + n}",
            }[who]
            stamp = (time + timedelta(minutes=n)).strftime("%d/%m/%Y, %H:%M")
            lines.append(f"{stamp} - {who}: {said}\n")
    return "".join(lines)


@pytest.fixture
def chat_file(tmp_path: Path) -> Path:
    """A small chat as an export."""
    path = tmp_path / "WhatsApp Chat with Ana.txt"
    path.write_text(chat_lines(40), encoding="utf-8")
    return path


@pytest.fixture
def console() -> Console:
    """A console whose output can be read with `console.file.getvalue()`."""
    return Console(file=io.StringIO(), highlight=False, width=100, color_system=None)
