"""How well does a decoder learn a text in so many seconds, on this machine?

    python bench/learn.py TEXT.txt [--marks 105,600] [--keep DIR]

For each mark, stages 3 to 5 run once with default settings on one plain text file, whose last tenth
is validation, with what the first two leave of the mark as the budget. Prints the wall time from
the start of the first process and bits per byte by the decoder alone, in a full pass.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Others' figures on tinyshakespeare, on the kind of machine that bench/RESULTS.md calls A.
TINYSHAKESPEARE = "86c4e6aa9db7c042"
FLOORS = (
    "beside it: nanoGPT's CPU recipe 2.703 after 105 s, a 6-gram of characters 2.248 after 2 s, "
    "PPMd of order 6 2.026"
)
END = 4.0  # seconds that a process takes to start and to write what it found
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--marks", default="105,600", help="seconds, joined by commas")
    parser.add_argument("--keep", type=Path, help="a folder to leave the workspaces in")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for mark in map(float, given.marks.split(",")):
            workspace = (given.keep or Path(folder)) / f"learn-{mark:.0f}"
            wall, counts = learned(given.text, mark, workspace)
            print(
                f"mark {mark:.0f} s, wall {wall:.1f} s: {full_pass(workspace):.3f} bits per byte, "
                f"{counts['parameters'] / 1e6:.2f} M parameters, {counts['steps']:,} steps"
            )
            for line in (workspace / "5_pretrained/log.jsonl").open(encoding="utf-8"):
                row = json.loads(line)
                print(f"    {row['seconds']:7.1f} s of steps: {row['val_bits_per_byte']:.3f}")
    if hashlib.sha256(given.text.read_bytes()).hexdigest().startswith(TINYSHAKESPEARE):
        print(FLOORS)


def learned(text: Path, mark: float, workspace: Path) -> tuple[float, dict[str, Any]]:
    """Run the stages in time for a mark; wall seconds, and the counts of the last stage."""
    began = time.monotonic()
    run(workspace, "3-4", "--corpus", str(text))
    left = mark - (time.monotonic() - began) - END
    run(workspace, "5", "--minutes", f"{max(left / 60, 0.05):.3f}")
    wall = time.monotonic() - began
    record = json.loads((workspace / "5_pretrained/stage.json").read_text(encoding="utf-8"))
    return wall, record["counts"]


def run(workspace: Path, *words: str) -> None:
    """Run a verb of the pipeline in a process of its own."""
    subprocess.run(
        [sys.executable, "-m", "pipeline", *words, "--workspace", str(workspace.absolute())],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def full_pass(workspace: Path) -> float:
    """Bits per byte of all validation text by the best model; training reads a part of it."""
    sys.path.insert(0, str(ROOT))
    from pipeline.training.memmap import ArrayFile
    from pipeline.training.validation import measure_text
    from pipeline.workspace.stages import ENCODED, PRETRAINED
    from transformer.io import load

    model = load(workspace / PRETRAINED)
    with ArrayFile(workspace / ENCODED[1]) as val:
        loss = measure_text(model, val.values, model.config.block, val.info["bytes"])
    return loss.bits_per_byte


if __name__ == "__main__":
    main()
