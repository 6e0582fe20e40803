"""The bench for a card runs through without one, at toy sizes, so that it works when there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def told(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, str(ROOT / "bench/gpu.py"), *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout


def test_the_dry_run_measures_everything():
    said = told("--dry-run")
    for what in (
        r"soundalike +[\d,]+ tokens/s, +[\d.]+% of the peak",
        r"CUDA graphs +[\d,.]+ ids/s",
        r"reference path +[\d,.]+ ids/s",
        r"\nlora, 4 rows of 32 tokens: [\d,]+ tokens/s\n",
        r"\nqlora(, 4 rows of 32 tokens: [\d,]+ tokens/s|: left out \(.*bitsandbytes.*\))\n",
    ):
        assert re.search(what, said), what


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")
def test_without_a_card_one_line_says_so():
    assert told() == ("left out: there is no CUDA device here; --dry-run runs it at toy sizes\n")
