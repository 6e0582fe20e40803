"""How well does a decoder learn a text in so many minutes, on this machine?

    python bench/learn.py TEXT.txt [--minutes 10] [--keep DIR]

Runs stages 3 to 5 with default settings on one plain text file, whose last tenth is validation, and
prints wall time (from the start of this script) and bits per byte by the decoder alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--keep", type=Path, help="a workspace to leave behind")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        workspace = given.keep or Path(folder) / "learn"
        words = ["3-5", "--corpus", str(given.text), "--minutes", str(given.minutes)]
        subprocess.run(
            [sys.executable, "-m", "pipeline", *words, "--workspace", str(workspace)], check=True
        )
        record = json.loads((workspace / "5_pretrained/stage.json").read_text(encoding="utf-8"))
    wall = time.monotonic() - began
    counts = record["counts"]
    print(
        f"{wall:.0f} s in all: {counts['bits_per_byte']:.3f} bits per byte, "
        f"{counts['parameters'] / 1e6:.2f} M parameters, {counts['steps']:,} steps"
    )


if __name__ == "__main__":
    main()
