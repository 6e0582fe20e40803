"""What a run leaves to look at later: `log.jsonl`, and events for TensorBoard on request."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.common.errors import SettingsError
from pipeline.common.files import atomic
from transformer.packages import install

EVENTS = "tensorboard"
NEEDED = "tensorboard==2.21.0"


class Log:
    """One line an evaluation, in a folder."""

    def __init__(self, folder: Path, tensorboard: bool) -> None:
        self.path = folder / "log.jsonl"
        self._events = _writer(folder / EVENTS) if tensorboard else None

    def cut(self, step: int) -> None:
        """Drop the lines of steps that will be taken again, and a line that was cut off."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        with atomic(self.path) as file:
            file.writelines(f"{line}\n" for line in text.splitlines() if _step_of(line) <= step)

    def add(self, row: Mapping[str, float]) -> None:
        """Write down an evaluation."""
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(row) + "\n")
        if self._events is not None:
            for name, value in row.items():
                self._events.add_scalar(name, value, int(row["step"]))
            self._events.flush()

    def close(self) -> None:
        """Let go of the event file."""
        if self._events is not None:
            self._events.close()


def _writer(folder: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise SettingsError(
            f"train.tensorboard needs a package that is not here; run `{install(NEEDED)}`, or set "
            "train.tensorboard = false."
        ) from None
    return SummaryWriter(str(folder))


def _step_of(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
