"""Blocks compiled for training, where a compiler is found and while it pays.

One block's forward is compiled and serves all blocks, which are equal but for their weights: that
takes a quarter of a minute instead of longer the more layers there are. What is compiled is for one
shape of batch without padding, in training, without a cache. Every other pass (evaluation,
generation, a last batch that is smaller) takes the plain road, which stays as it was, as do the
names and the tensors of the weights.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.common.processes import ALONE, World
from pipeline.training.hardware.device import timed, wait
from pipeline.training.held_up import HeldUp
from transformer.attention_plan import AttentionPlan
from transformer.block import PreNorm
from transformer.decoder import Decoder

TYPICAL_SECONDS = 20.0  # what a first try costs on a laptop
STEPS = 3  # timed of each road
WORTH = 0.98  # of a plain step's time: a smaller gain may be chance
COMPILERS = {"win32": ("cl",), "darwin": ("clang++", "g++")}  # … and elsewhere g++ before clang++
OURS = ("transformer.", "torch.nn.")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """The seconds of a step before and after compiling."""

    plain: float
    compiled: float

    @property
    def pays(self) -> bool:
        """Whether to stay compiled: what compiling took is spent either way."""
        return self.compiled < WORTH * self.plain


def obstacle(decoder: Decoder) -> str | None:
    """Why the blocks of a decoder cannot be compiled on this machine, or None where they can."""
    if decoder.config.norm == "batch":
        return "batch normalization keeps statistics in its forward pass"
    if any(not type(part).__module__.startswith(OURS) for part in decoder.blocks.modules()):
        return "its blocks hold adapters, which take minutes to compile"
    device = decoder.tokens.weight.device.type
    if device == "cuda":
        return None if importlib.util.find_spec("triton") else "triton is not installed"
    if device != "cpu":
        return f"there is no compiler for {device}"
    if _compiler() is None:
        return "no C++ compiler was found (g++, clang++ or cl)"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "Python's header files are not installed"
    return None


def _compiler() -> str | None:
    names = (os.environ.get("CXX"), *COMPILERS.get(sys.platform, ("g++", "clang++")))
    return next((name for name in names if name and shutil.which(name)), None)


def turn_on(
    decoder: Decoder, rows: int, tokens: int, step: Callable[[], None], world: World = ALONE
) -> bool:
    """Compile the blocks for training on batches (rows, tokens); whether all processes did.

    `step` is a whole training step on such a batch: the backward pass is compiled by taking it. Is
    there an obstacle, or does that step fail, also for want of memory, that is one line in the log,
    and the decoder stays plain in all processes.
    """
    why = obstacle(decoder)
    if why is not None:
        log.info("not compiled: %s", why)
        return False
    if decoder.tokens.weight.device.type == "cpu":
        os.environ.setdefault("CXX", str(_compiler()))  # where torch looks
    shared = _Shared(torch.compile(_forward, dynamic=False), (rows, tokens))
    for block in decoder.blocks:
        block._compiled_call_impl = _Road(shared, block)  # as `nn.Module.compile` does
    try:
        step()
        wait()
    except HeldUp:
        raise
    except Exception as error:  # whatever a compiler, a linker or a driver may raise
        shared.working = False
        _give_up(error)
    if world.total(shared.working) == [world.size]:
        return True
    turn_off(decoder)
    decoder.zero_grad()
    return False


def turn_off(decoder: Decoder) -> None:
    """Undo `turn_on`."""
    for block in decoder.blocks:
        block._compiled_call_impl = None


def is_on(decoder: Decoder) -> bool:
    """Whether training passes of a decoder take a compiled road."""
    roads = [block._compiled_call_impl for block in decoder.blocks]
    return any(isinstance(road, _Road) and road.shared.working for road in roads)


def tried(
    decoder: Decoder, rows: int, tokens: int, step: Callable[[], None], world: World = ALONE
) -> Trial | None:
    """`turn_on`, with `step` timed before and after; None where the decoder had to stay plain.

    Where it does not pay, `turn_off` is the caller's.
    """
    plain = _seconds(step) if obstacle(decoder) is None else 0.0
    on = turn_on(decoder, rows, tokens, step, world)
    return Trial(plain, _seconds(step)) if on else None


@dataclass
class _Shared:
    """What all blocks of a decoder share."""

    run: Callable[[PreNorm, Tensor, AttentionPlan], Tensor]
    shape: tuple[int, int]
    working: bool = True


class _Road:
    """Calls of one block: compiled where they can be, else plain."""

    def __init__(self, shared: _Shared, block: nn.Module) -> None:
        self.shared, self.block = shared, block

    def __call__(
        self, x: Tensor, plan: AttentionPlan, cache: Any = None, only: Tensor | None = None
    ) -> Tensor:
        block: Any = self.block
        shared = self.shared
        fits = (
            x.shape[:2] == shared.shape and plan.is_token is None and cache is None and only is None
        )
        if fits and block.training and torch.is_grad_enabled() and shared.working:
            try:
                return shared.run(block, x, plan)
            except Exception as error:
                if not _is_of_compiler(error):
                    raise
                shared.working = False
                _give_up(error)
        found: Tensor = block._call_impl(x, plan, cache, only)
        return found


def _forward(block: PreNorm, x: Tensor, plan: AttentionPlan) -> Tensor:
    return type(block).forward(block, x, plan)


def _is_of_compiler(error: Exception) -> bool:
    homes = ("torch._dynamo", "torch._inductor")
    return any(kind.__module__.startswith(homes) for kind in type(error).__mro__)


def _give_up(error: Exception) -> None:
    first = next(iter(str(error).splitlines()), "")
    log.warning("not compiled, training goes on without: %s: %s", type(error).__name__, first)


def _seconds(step: Callable[[], None]) -> float:
    """The shortest of some steps, after one for warming up."""
    step()
    taken = []
    for _ in range(STEPS):
        wait()
        taken.append(timed(step))
    return min(taken)
