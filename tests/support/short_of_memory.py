"""`python -m pipeline` of which one process, SHORT in the environment, has less and less memory.

It runs out first in a backward pass, when some gradients were exchanged, then, but where the model
is cut up, in an update, when some of the weights were changed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.__main__ import main
from pipeline.common.processes import end
from pipeline.training import exchange
from pipeline.training.muon import Muon
from pipeline.training.step import Samples, Stepper

take, step = Stepper.take, Muon.step


def tight(stepper: Stepper, samples: Samples, *args: Any) -> Any:
    """A step that fails where there is no memory for so many rows."""
    in_update = runs_out(samples, 130, rows=1) and not stepper.sharded
    Muon.step = torn if in_update else step
    if not runs_out(samples, 80, rows=2):
        return take(stepper, samples, *args)
    hook = stepper.model.blocks[0].register_forward_hook(fails_backward)
    try:
        return take(stepper, samples, *args)
    finally:
        hook.remove()


def fails_backward(block: Any, given: Any, output: Any) -> None:
    output.register_hook(raises)


def runs_out(samples: Samples, later: int, rows: int) -> bool:
    return (
        os.environ["RANK"] == os.environ["SHORT"] and samples.first >= later and samples.rows > rows
    )


def raises(*_: Any) -> None:
    raise MemoryError


def torn(optimizer: Muon, closure: None = None) -> None:
    optimizer.param_groups[0]["params"][0].detach().fill_(7.0)
    raise MemoryError


if __name__ == "__main__":
    exchange.SMALL = 512  # so that the gradients of a small model, too, go one after the other
    Stepper.take = tight
    end(main())
