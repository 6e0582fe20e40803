"""Imports run downwards, as docs/architecture.md draws them, and what must answer at once does."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# From top to bottom. A room may import what stands in a lower line, never what stands beside it.
FLOORS = (
    ("chat", "pipeline.__main__"),
    ("pipeline.cli",),
    ("pipeline.stages", "pipeline.explain", "pipeline.experiments"),
    ("pipeline.report",),
    ("pipeline.evaluation",),
    ("pipeline.serving", "pipeline.classify"),
    ("pipeline.training",),
    ("pipeline.dialogue",),
    ("pipeline.workspace",),
    ("pipeline.cleaning",),
    ("pipeline.exports", "pipeline.corpus"),
    ("pipeline.common",),
    ("minbpe", "transformer", "pipeline"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
WITHOUT_TORCH = (
    "pipeline.common",
    "pipeline.exports",
    "pipeline.corpus",
    "pipeline.cleaning",
    "pipeline.workspace",
    "pipeline.dialogue",
    "pipeline.report",
    "minbpe",
)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    name_of(path): path
    for pattern in ("chat.py", "pipeline/**/*.py", "minbpe/**/*.py", "transformer/**/*.py")
    for path in sorted(ROOT.glob(pattern))
}


def room_of(module: str) -> str:
    first, _, rest = module.partition(".")
    return f"pipeline.{rest.partition('.')[0]}" if first == "pipeline" and rest else first


def imports(node: ast.AST, late: bool) -> Iterator[str]:
    """The names that a file imports; `late`: within functions and for type checking too."""
    for child in ast.iter_child_nodes(node):
        deferred = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        )
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            assert child.module is not None
            for alias in child.names:
                name = f"{child.module}.{alias.name}"
                yield name if name in FILES else child.module
        elif late or not deferred:
            yield from imports(child, late)


@cache
def imported(module: str, late: bool = True) -> frozenset[str]:
    return frozenset(imports(ast.parse(FILES[module].read_text(encoding="utf-8")), late))


@cache
def loaded(module: str) -> frozenset[str]:
    """All that is loaded with a module, ours and other people's, through any number of files."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in FILES:
            waiting += imported(name, late=False)
            waiting += [p for n in range(name.count(".")) if (p := name.rsplit(".", n + 1)[0])]
    return frozenset(seen)


def test_every_file_lies_in_a_room_of_the_drawing():
    assert {room_of(module) for module in FILES} <= FLOOR.keys()


@pytest.mark.parametrize("room", FLOOR)
def test_imports_run_downwards(room):
    for module in (m for m in FILES if room_of(m) == room):
        for name in imported(module) & FILES.keys():
            target = room_of(name)
            assert target == room or FLOOR[target] > FLOOR[room], f"{module} imports {name}"


@pytest.mark.parametrize("room", FLOOR)
def test_nothing_that_is_loaded_stands_above_or_beside(room):
    for module in (m for m in FILES if room_of(m) == room):
        for name in loaded(module) & FILES.keys():
            target = room_of(name)
            assert target == room or FLOOR[target] > FLOOR[room], f"{module} loads {name}"


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_rooms_that_know_no_torch_do_not_load_it(room):
    for module in (m for m in FILES if room_of(m) == room):
        for name in loaded(module):
            assert name.partition(".")[0] != "torch", f"{module} loads torch"


def test_no_stage_imports_another():
    stages = {m for m in FILES if m.startswith("pipeline.stages.stage")}
    assert len(stages) == 8
    for module in stages:
        assert not imported(module) & stages, module


def test_no_imports_run_in_a_circle():
    """Tarjan 1972, on every import, late ones and those for types included."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    circles: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for name in imported(module) & FILES.keys() - {module}:
            if name not in index:
                visit(name)
                lowest[module] = min(lowest[module], lowest[name])
            elif name in stack:
                lowest[module] = min(lowest[module], index[name])
        if lowest[module] == index[module]:
            circle = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(circle) > 1:
                circles.append(sorted(circle))

    for module in FILES:
        if module not in index:
            visit(module)
    assert not circles


@pytest.mark.parametrize(
    "line",
    [
        "import pipeline.cli.run, pipeline.cli.status, pipeline.__main__",
        "import transformer, transformer.config, transformer.__main__",
        "import chat",
        "import pipeline.classify.train_and_predict",
        "import pipeline.explain.show",
        "import pipeline.experiments.run_families",
    ],
)
def test_help_and_status_do_not_load_torch(line):
    code = f"{line}; import sys; assert 'torch' not in sys.modules, 'torch was loaded'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
