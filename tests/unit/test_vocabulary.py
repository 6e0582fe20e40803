"""The field's words: what house names used to be stays out of code, messages and docs."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Phrases of the project's old dialect, and what the field says instead.
PHRASES = {
    r"bits for a byte": "bits per byte",
    r"(from|with) nothing\b(?! (in|of|but|extra|to|else))": "from scratch",
    r"every so \w+th\b": "every n-th",
    r"the same luck": "a fixed seed",
    r"\bso (many|much) (rows|tokens|steps|words|bytes|messages|minutes)\b": "n rows",
    r"\bkeep(s|ing)? less of each\b": "activation checkpointing",
    r"\b(astray|manieth|wont to)\b": "diverging",
    r"\bthe (plain|other|general) road\b": "eager path, compiled path, reference path",
    r"\bin (other )?words that\b": "in words",
    r"\b(held up|HeldUp|held_up)\b": "PeerOutOfMemory",
    r"\bKept\b": "LayerKVCache",
    r"\bTaken\b(?=[(:\]])": "StepResult",
    r"\b(rehears(e|al|es)|size[sd]? up|size_up)\b(?! of)": "dry run, autotune",
    r"\bbeneath\b": "floor",
    r"\bputs? right\b": "correct",
    r"\bcut(s)? up\b": "shard",
    r"\bthe reader is (so )?sure\b": "format confidence",
}
# Names that say nothing about what they hold.
NAMES = {
    "found": "what was found: match, path, result",
    "taken": "seconds, durations",
    "astray": "diverging",
    "aside": "overhead_seconds",
    "manieth": "every",
    "wanted": "what is asked for",
    "torn": "update_interrupted",
    "way": "compute",
    "told": "message, summary",
}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    if listed.returncode or not listed.stdout:
        pytest.skip("not a git checkout, so there is no list of the project's files")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


@pytest.mark.parametrize("phrase", PHRASES)
def test_pages_code_and_messages_use_the_fields_words(phrase):
    pattern = re.compile(phrase)
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:90]}"
        for path in tracked("*.py", "*.md", "*.toml")
        if path != Path(__file__).resolve() and "data" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not hits, f"say “{PHRASES[phrase]}”:\n" + "\n".join(hits)


def test_names_say_what_they_hold():
    hits = []
    for path in tracked(
        "pipeline/*.py", "minbpe/*.py", "transformer/*.py", "bench/*.py", "chat.py"
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = (
                node.id
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                else node.arg
                if isinstance(node, ast.arg)
                else node.name
                if isinstance(node, ast.FunctionDef | ast.ClassDef)
                else ""
            )
            if name.strip("_") in NAMES:
                hits.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    assert not hits, "\n".join(hits)
