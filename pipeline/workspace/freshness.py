"""Whether a stage is up to date or would run again, and why, as a sentence.

Everything is read from the records: the stage's version and settings, stamps of what it read and
wrote, and its budget. A re-run that gives the same bytes leaves later stages up to date, because
only content counts.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from pipeline.common.errors import WorkspaceError
from pipeline.workspace.record import Record, Shown, TrainingBudget
from pipeline.workspace.settings import RENAMED, is_private
from pipeline.workspace.stages import STAGES, Stage
from pipeline.workspace.stamps import Stamp
from pipeline.workspace.workspace import Workspace

SOURCE_SUFFIXES = (".txt", ".zip", ".json", ".jsonl", ".parquet", ".safetensors", ".model")
FIRST_NAMES = {new: old for old, new in RENAMED.items()}


@dataclass(frozen=True)
class Shape:
    """All that shapes a stage's result; `parts`: how file names share out a corpus, as a hash."""

    settings: dict[str, Shown]
    sources: dict[str, list[Stamp]]
    inputs: dict[str, Stamp]
    parts: str

    def key(self, version: int) -> str:
        """One hash of it: what a half-done training must agree with to be continued.

        A setting counts under its first name, so that a new one breaks off no training.
        """
        hashes = [
            version,
            {FIRST_NAMES.get(name, name): value for name, value in self.settings.items()},
            {name: [s.sha256 for s in stamps] for name, stamps in self.sources.items() if stamps},
            {name: stamp.sha256 for name, stamp in self.inputs.items()},
            self.parts,
        ]
        return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]


def shape(workspace: Workspace, stage: Stage) -> Shape:
    """What shapes the stage's result now."""
    sources = {
        name: [Stamp.of(path, SOURCE_SUFFIXES) for path in workspace.paths(name) if path.exists()]
        for name in stage.sources
    }
    inputs, parts = _inputs(workspace, stage), _parts(workspace, stage)
    return Shape(workspace.stage_settings(stage.settings), sources, inputs, parts)


def why(workspace: Workspace, stage: Stage) -> str | None:
    """Why the stage would run, as a sentence; None when it is up to date."""
    return Reasons(workspace).why(stage)


def makers_of(stage: Stage) -> list[Stage]:
    """The stages whose files a stage needs, in order."""
    makers = {maker for need in stage.needs if (maker := _maker_of(need))}
    return sorted(makers, key=lambda maker: maker.number)


def upstream(stage: Stage) -> list[Stage]:
    """All stages whose work a stage stands on, in order."""
    earlier = {s for maker in makers_of(stage) for s in [maker, *upstream(maker)]}
    return sorted(earlier, key=lambda stage: stage.number)


@dataclass
class Reasons:
    """Answers for all stages of a workspace; each is worked out once."""

    workspace: Workspace
    known: dict[str, str | None] = field(default_factory=dict)

    def why(self, stage: Stage) -> str | None:
        if stage.name not in self.known:
            record = self.workspace.record(stage)
            self.known[stage.name] = (
                self._unfinished(stage)
                if record is None
                else (
                    self._program_changed(stage, record)
                    or self._settings_changed(stage, record)
                    or self._sources_changed(stage, record)
                    or self._inputs_changed(stage, record)
                    or self._outputs_changed(record)
                    or self._budget_grew(stage, record)
                )
            )
        return self.known[stage.name]

    def _unfinished(self, stage: Stage) -> str:
        folder = self.workspace.folder(stage)
        begun = (folder / "last").exists() or any(folder.glob("*.journal"))
        return "it was interrupted and will continue" if begun else "it has not been run yet"

    def _program_changed(self, stage: Stage, record: Record) -> str | None:
        old = record.version
        if old > stage.version:
            raise WorkspaceError(
                f"{self.workspace.folder(stage)} was made by a newer version of this program; "
                "update the program, or delete that folder to make it again."
            )
        if old < stage.version:
            return f"the program's stage changed (version {old} → {stage.version})"
        return None

    def _settings_changed(self, stage: Stage, record: Record) -> str | None:
        old = record.settings
        new = self.workspace.stage_settings(stage.settings + stage.finish)
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                if is_private(name):
                    return f"{name} changed"
                return f"{name} {_short(old.get(name))} → {_short(new.get(name))}"
        return None

    def _sources_changed(self, stage: Stage, record: Record) -> str | None:
        for name in stage.sources:
            old, paths = record.sources.get(name, []), self.workspace.paths(name)
            if len(paths) != len(old) and all(path.exists() for path in paths):
                return f"{name} changed"
            for path, known in zip(paths, old, strict=False):
                # One that was moved or deleted since: what was made of it is still good.
                if path.exists() and not known.matches(path, SOURCE_SUFFIXES):
                    return f"a file of {name} changed"
        # Only stages that read a corpus have parts; what was made of a corpus that is gone is good.
        is_here = all(path.exists() for path in self.workspace.paths("source.corpus"))
        if is_here and record.parts != _parts(self.workspace, stage):
            return "files of source.corpus were renamed to another part"
        return None

    def _inputs_changed(self, stage: Stage, record: Record) -> str | None:
        for maker in makers_of(stage):
            reason = self.why(maker) if self.workspace.applies(maker) else None
            if reason is not None:
                return f"stage {maker.number} ({maker.name}) is out of date: {reason}"
        old, new = (
            {name: stamp.sha256 for name, stamp in stamps.items()}
            for stamps in (record.inputs, _inputs(self.workspace, stage))
        )
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                return f"{name} changed"
        return None

    def _outputs_changed(self, record: Record) -> str | None:
        for name, known in record.outputs.items():
            path = self.workspace.path / name
            if not path.exists():
                return f"{name} is gone"
            if not known.matches(path):
                return f"{name} was changed from outside"
        return None

    def _budget_grew(self, stage: Stage, record: Record) -> str | None:
        if record.budget is None:
            return None
        kind = larger(record.budget, self.workspace.budget(stage))
        return kind and f"budget.{kind} grew"


def larger(had: TrainingBudget, offered: TrainingBudget) -> str | None:
    """Which part of the budget on offer is larger than the one had; None when none is."""
    if offered["epochs"]:
        return "epochs" if offered["epochs"] > had["epochs"] else None
    by_epochs_before = had["epochs"] > 0
    return "minutes" if offered["minutes"] > had["minutes"] and not by_epochs_before else None


def _inputs(workspace: Workspace, stage: Stage) -> dict[str, Stamp]:
    """A stamp of every existing file that the stage needs, except those of skipped stages."""
    stamps = {}
    for need in stage.needs:
        maker = _maker_of(need)
        path = workspace.path / need
        if not path.exists() or (maker is not None and not workspace.applies(maker)):
            continue
        # What its maker or its user recorded holds while size and date still agree.
        made, used = (workspace.record(s) if s is not None else None for s in (maker, stage))
        known = [made.outputs.get(need) if made else None, used.inputs.get(need) if used else None]
        unmoved = (stamp for stamp in known if stamp and stamp.is_unmoved(path))
        stamps[need] = next(unmoved, None) or Stamp.of(path)
    return stamps


def _parts(workspace: Workspace, stage: Stage) -> str:
    """Which file of the corpus is training, validation or test, as a hash; names are not kept."""
    paths = workspace.paths("source.corpus")
    if not paths or "source.corpus" not in stage.sources:
        return ""
    from pipeline.corpus.listing import list_files

    parts = " ".join(str(file.split) for file in list_files(paths))
    return hashlib.sha256(parts.encode()).hexdigest()[:12]


def _maker_of(need: str) -> Stage | None:
    """The stage that makes a file, by its folder, or by what it makes elsewhere, as in `model/`."""
    top = need.split("/")[0]
    return next((s for s in STAGES if s.folder == top or need in s.makes), None)


def _short(value: Shown | None) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else text[:37] + "…"
