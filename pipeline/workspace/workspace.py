"""A workspace: one folder for one person's data, with its settings and the stages' records.

A stage's record (`record.py`) is written last, so its presence means that the stage is whole;
`freshness.py` says from the records what is out of date.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.common.errors import SettingsError, WorkspaceError
from pipeline.common.speakers import fold
from pipeline.workspace import settings_file
from pipeline.workspace.chat_store import ChatStore
from pipeline.workspace.export_store import ExportStore
from pipeline.workspace.record import Record, Shown, TrainingBudget
from pipeline.workspace.settings import SMOLLM2, Value, is_private
from pipeline.workspace.stages import CLEAN, STAGES, START, Stage
from pipeline.workspace.stamps import Stamp

HOME = Path("workspaces")
AUTO_MINUTES = 15.0  # at most, where nothing is said
BASE = "base.txt"  # in the model that retraining begins from: what that began from
BUDGET_SHARE = {"pretrain": 0.8, "finetune": 0.2}


class Workspace:
    """One workspace folder. Opening it checks its settings whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = settings_file.load(path / "workspace.toml")
        self.chat = ChatStore(path / CLEAN)
        self.exports = ExportStore(self.settings)

    @classmethod
    def make(cls, path: Path, changes: Mapping[str, object]) -> Workspace:
        """Open a workspace, making it first where it is new, with changed settings recorded."""
        toml = path / "workspace.toml"
        new = not path.exists()
        if not toml.exists() and not new and any(path.iterdir()):
            raise WorkspaceError(
                f"{path} holds other files and is no workspace; name an empty or new folder."
            )
        if changes or not toml.exists():
            path.mkdir(parents=True, exist_ok=True)
            make_private(path)
            try:
                settings_file.save(toml, changes)
            except SettingsError:
                if new:
                    path.rmdir()
                raise
        return cls(path)

    def applies(self, stage: Stage) -> bool:
        """Whether the stage has anything to do: some need an export."""
        return not stage.wants or any(self.settings.get(name) for name in stage.wants)

    def adopts(self, stage: Stage) -> bool:
        """Whether the stage takes over a pretrained base, and trains nothing."""
        settings = self.settings
        return (
            stage.name == "pretrain"
            and bool(settings.source.base)
            and not settings.pretrain.continue_base
        )

    def start(self) -> Path | None:
        """The model that retraining begins from, unless another base was chosen since."""
        path = self.path / START
        base = path / BASE
        if not (path / "tokenizer.json").exists():
            return None
        same = not base.exists() or base.read_text(encoding="utf-8") == self.settings.source.base
        return path if same else None

    def folder(self, stage: Stage) -> Path:
        return self.path / stage.folder

    def record(self, stage: Stage) -> Record | None:
        """The stage's record, or None when it never finished."""
        return Record.read(self.folder(stage) / "stage.json")

    def finish(self, stage: Stage, record: Record) -> None:
        """Write the record with stamps of what the stage made: it is whole from this moment on."""
        outputs = {name: Stamp.of(self.path / name) for name in stage.makes}
        replace(record, outputs=outputs).write(self.folder(stage) / "stage.json")

    def stage_settings(self, patterns: Iterable[str]) -> dict[str, Shown]:
        """The settings behind some patterns, as a record shows them: private ones as a hash."""
        return {
            name: _shown(name, self.settings.get(name))
            for pattern in patterns
            for name in settings_file.names()
            if name == pattern or f"{name.partition('.')[0]}.*" == pattern
        }

    def paths(self, name: str) -> list[Path]:
        """The paths in a setting that holds one or several; a package's name is none."""
        value = self.settings.get(name)
        values = value if isinstance(value, tuple) else (value,)
        return [Path(str(p)) for p in values if p and (name, p) != ("source.base", SMOLLM2)]

    def budget(self, stage: Stage, alone: bool = False) -> TrainingBudget:
        """The stage's share of the budget. `alone`: it is the only one asked for."""
        if not stage.trains or self.adopts(stage):
            return {"minutes": 0.0, "epochs": 0.0}
        rivals = [s for s in STAGES if s.trains and self.applies(s) and not self.adopts(s)]
        share = 1.0 if alone or len(rivals) == 1 else BUDGET_SHARE[stage.name]
        budget = self.settings.budget
        minutes = AUTO_MINUTES if budget.minutes == "auto" else budget.minutes
        return {"minutes": minutes * share, "epochs": budget.epochs}

    def lock(self) -> FileLock:
        """Held while stages run; the system lets go of it even after kill -9."""
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise WorkspaceError(
                f"{self.path} is in use by another run; wait for it or stop it."
            ) from None
        return lock

    def purge(self) -> None:
        """Delete the workspace and everything in it."""
        self.lock().release()  # refuses while a run is using it
        shutil.rmtree(self.path)


def make_private(path: Path) -> None:
    """For this account alone (mode 0700, a file 0600), where the system has modes."""
    if os.name == "posix":
        path.chmod(0o700 if path.is_dir() else 0o600)


def default_path(name: str) -> Path:
    """`workspaces/` and a name that every file system takes."""
    slug = "-".join("".join(c if c.isalnum() else " " for c in fold(name)).split())
    return HOME / (slug[:60] or "workspace")


def find_workspace(path: Path | None) -> Path:
    """The workspace named, or else the one below `workspaces/` that was worked in last."""
    known = (toml.parent for toml in HOME.glob("*/workspace.toml"))
    workspace = path or max(known, key=_last_touched, default=None)
    if workspace is None:
        raise WorkspaceError(
            f"There is no workspace yet below {HOME}/; make one with "
            "`python -m pipeline run --export FILE --persona NAME`."
        )
    return workspace


def _last_touched(path: Path) -> float:
    marks = [path / "workspace.toml", *path.glob("*/stage.json")]
    return max(p.stat().st_mtime for p in marks)


def _shown(name: str, value: Value) -> Shown:
    """A setting as a record shows it: a private one as a hash."""
    if is_private(name):
        return hashlib.sha256(repr(value).encode()).hexdigest()[:12]
    return value if not isinstance(value, tuple) else [*value]
