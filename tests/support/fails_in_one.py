"""`python -m pipeline`, where memory runs out in process FAILS (of the environment), once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from torch import Tensor

from pipeline.__main__ import main
from pipeline.common.processes import end
from pipeline.training.step import Stepper, StepResult

step = Stepper.step


def fails(stepper: Stepper, first: int, *args: float) -> StepResult:
    """A step that fails halfway through its backward pass."""
    hooks = []
    restarted = os.environ["TORCHELASTIC_RESTART_COUNT"] != "0"
    if first >= 80 and os.environ["RANK"] == os.environ["FAILS"] and not restarted:
        block = stepper.model.blocks[0]
        hooks.append(block.register_forward_hook(fail_backward))
    try:
        return step(stepper, first, *args)
    finally:
        for hook in hooks:
            hook.remove()


def fail_backward(block: object, given: object, output: Tensor) -> None:
    output.register_hook(run_out)


def run_out(_: object) -> None:
    raise MemoryError


if __name__ == "__main__":
    Stepper.step = fails
    end(main())
