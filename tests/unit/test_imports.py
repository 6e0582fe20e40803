"""Who may import whom, as docs/architecture.md has it, and what must answer at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MAY_NOT = {
    "minbpe": ("pipeline", "transformer", "torch"),
    "transformer": ("pipeline", "minbpe"),
    "pipeline/whatsapp": ("torch", "minbpe", "transformer", "pipeline.training"),
    "pipeline/cleaning": ("torch", "minbpe", "transformer", "pipeline.training"),
    "pipeline/dialogue": ("torch", "transformer", "pipeline.training", "pipeline.serving"),
    "pipeline/training": ("pipeline.stage", "pipeline.serving", "pipeline.verbs"),
    "pipeline/classify": ("pipeline.serving", "pipeline.verbs"),
    "pipeline/explain": ("pipeline.stage", "pipeline.verbs", "pipeline.runner"),
    "pipeline/experiments": ("pipeline.serving", "pipeline.verbs"),
    "pipeline/serving": ("pipeline.training", "pipeline.stage1", "pipeline.verbs"),
}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("folder", MAY_NOT)
def test_parts_do_not_import_what_stands_above_or_beside_them(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        for name in imported(path):
            wrong = [m for m in MAY_NOT[folder] if name == m or name.startswith(m + ".")]
            assert not wrong, f"{path.relative_to(ROOT)} imports {name}"


def test_no_stage_imports_another():
    for path in ROOT.glob("pipeline/stage[0-9]_*.py"):
        others = [name for name in imported(path) if name.startswith("pipeline.stage")]
        assert all(name.startswith("pipeline.stages") for name in others), path.name


@pytest.mark.parametrize(
    "line",
    [
        "import pipeline.verbs, pipeline.freshness, pipeline.__main__",
        "import transformer, transformer.config, transformer.__main__",
        "import chat",
        "import pipeline.classify.verbs",
        "import pipeline.explain.show",
        "import pipeline.experiments.verb",
    ],
)
def test_help_and_status_do_not_load_torch(line):
    code = f"{line}; import sys; assert 'torch' not in sys.modules, 'torch was loaded'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
