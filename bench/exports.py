"""How fast an export is read, and in how much memory, beside whatstk in the same run.

Each reader runs in a process of its own on the same file, an invented Android chat; seconds are
those of the processor, memory is the peak above what the interpreter and the imports take. whatstk
is not installed with the project: `--peer PYTHON` names an interpreter that has it.

    python bench/exports.py --peer /path/to/venv/bin/python
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

WORDS = ("the", "a", "i", "you", "we", "yes", "no", "maybe", "tomorrow", "coffee", "train", "sorry")
NAMES = ("Ann", "Bob", "Cleo Smith", "~ Zed", "José 🌍")

TIMED = """
import resource, sys, time
from pathlib import Path
{imports}
path = sys.argv[1]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
count = {count}
seconds = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(count, seconds, peak / 1024)
"""
READERS = {
    "soundalike": (
        "from pipeline.exports.read_export import read_export",
        "sum(1 for _ in read_export(Path(path)).messages)",
    ),
    "whatstk": (
        "from whatstk import WhatsAppChat",
        "len(WhatsAppChat.from_source(filepath=path, max_size=1 << 40).df)",
    ),
}


def write_chat(path: Path, messages: int, seed: int = 1) -> None:
    """Five people; one message in 20 of two lines, one in 18 a picture, one in 250 a notice."""
    draw = random.Random(seed)
    time = datetime(2019, 1, 1, 9)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for _ in range(messages):
            time += timedelta(minutes=draw.choice((0, 0, 1, 1, 2, 30)))
            who, kind = draw.choice(NAMES), draw.random()
            text = " ".join(draw.choices(WORDS, k=draw.randint(1, 14)))
            said = f"{who}: {text}" + (f"\n{text}" if kind < 0.05 else "")
            said = f"{who}: <Media omitted>" if kind > 0.945 else said
            said = f"{who} left" if kind > 0.996 else said
            file.write(f"{time:%d/%m/%Y, %H:%M} - {said}\n")


def measure(python: str, reader: str, path: Path) -> tuple[int, float, float]:
    """Messages, seconds, MiB."""
    imports, count = READERS[reader]
    code = TIMED.format(imports=imports, count=count)
    done = subprocess.run(
        [python, "-c", code, str(path)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    messages, seconds, peak = done.stdout.split()
    return int(messages), float(seconds), float(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--peer", help="a python that has whatstk")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chat.txt"
        write_chat(path, given.messages)
        pythons = {"soundalike": sys.executable} | ({"whatstk": given.peer} if given.peer else {})
        for reader, python in pythons.items():
            messages, seconds, peak = measure(python, reader, path)
            rate = messages / seconds
            print(f"{reader:<12}{messages:>10,} messages {rate:>10,.0f}/s {peak:>8,.0f} MiB")


if __name__ == "__main__":
    main()
