"""The live view of a run: where it stands, how fast it goes, and what the model writes by itself.

In a pipe or a file only the lines of the evaluations appear.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

import torch
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from minbpe.base import Tokenizer
from pipeline.common.screen import Screen
from pipeline.dialogue.template import end_id
from pipeline.training.hardware import memory
from pipeline.training.hardware.device import Machine, peak_flops
from pipeline.training.hardware.flops import per_token
from pipeline.training.state import TrainState
from pipeline.training.step import Stepper
from pipeline.training.validation import Loss
from transformer.decoder import Decoder
from transformer.generate import Sampling, generate

RECENT = 30.0  # seconds over which the speed is averaged
GIB = 1 << 30
SAMPLE_TOKENS = 40


class LiveView:
    """What a person sees while a model learns; a context.

    The loop sets `state`, `loss` and `learning_rate`; a terminal is drawn from them four times a
    second, by a thread of its own.
    """

    def __init__(self, screen: Screen, stepper: Stepper, state: TrainState) -> None:
        self.screen, self.stepper, self.state = screen, stepper, state
        self.loss: float | None = None
        self.learning_rate = 0.0
        self._validation = self._sample = ""
        self._recent: deque[tuple[float, int, int]] = deque()  # time, step, tokens
        self._seconds_per_token = 0.0  # at the device's peak
        self._live = Live(
            console=screen.console,
            get_renderable=self._render,
            refresh_per_second=4,
            transient=True,
        )

    def __enter__(self) -> LiveView:
        if self.screen.console.is_terminal:
            plan, world = self.stepper.plan, self.stepper.world
            peak = peak_flops(Machine(self.stepper.device, plan.dtype, plan.threads))
            self._seconds_per_token = per_token(self.stepper.model) / (peak * world.size)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live.is_started:
            self._live.stop()

    def evaluated(self, train_loss: float, loss: Loss, is_best: bool) -> None:
        """A line for an evaluation."""
        state = self.state
        self._validation = f"{loss.per_token:.3f} · {loss.bits_per_byte:.3f} bits/byte"
        self.screen.say(
            f"    step {state.step:>6,}/{state.schedule.total:,}  loss {train_loss:6.3f}  "
            f"val {loss.per_token:6.3f}  {loss.bits_per_byte:.3f} bits/byte "
            f"{'*' if is_best else ' '}  "
            f"{state.tokens / max(state.time.step_seconds, 1e-9):,.0f} tokens/s"
        )

    def wrote(self, sample: str) -> None:
        """A line for what the model wrote."""
        self._sample = " ⏎ ".join(sample.split("\n"))[:100]
        if self._sample:
            self.screen.note(f"“{self._sample}”")

    def _speed(self) -> tuple[float, float]:
        """Recent steps and tokens per second; 0 while nothing is known."""
        recent, state = self._recent, self.state
        if recent and state.step < recent[-1][1]:  # the run has gone back
            recent.clear()
        recent.append((time.monotonic(), state.step, state.tokens))
        while len(recent) > 2 and recent[-1][0] - recent[0][0] > RECENT:
            recent.popleft()
        (t0, step0, tokens0), (t1, step1, tokens1) = recent[0], recent[-1]
        seconds = max(t1 - t0, 1e-9)
        return (step1 - step0) / seconds, (tokens1 - tokens0) / seconds

    def _render(self) -> RenderableType:
        state = self.state
        steps, tokens = self._speed()
        if self.loss is None:
            return Text("    the first step …", style="dim")
        total = state.schedule.total
        left = _clock((total - state.step) / steps) if steps else "?"
        epochs, within = divmod(state.samples, samples := self.stepper.data.samples_per_epoch)
        share_of_peak = tokens * self._seconds_per_token
        device = self.stepper.device
        facts = {
            "step": f"{state.step:,} of {total:,}, {left} left",
            "loss": f"{self.loss:.3f}   learning rate {self.learning_rate:.1e}",
            "validation": self._validation,
            "best": f"{state.best.bits_per_byte:.3f} bits/byte at step {state.best.step:,}",
            "speed": f"{tokens:,.0f} tokens/s, {share_of_peak:.0%} of the {device.type}'s peak",
            "memory": _memory(device),
            "data": f"epoch {epochs + 1}, {within / samples:.0%} of it",
            "it says": f"“{self._sample}”" if self._sample else "",
        }
        table = Table.grid(padding=(0, 2))
        for name, value in facts.items():
            if value:
                table.add_row(f"    [dim]{name}[/]", escape(value))
        bar = Table.grid()
        bar.add_row("    ", ProgressBar(total, state.step, width=60))
        return Group(Text(""), bar, table)


def _memory(device: torch.device) -> str:
    """What is used of the device's memory, and beside a GPU of the machine's."""
    devices = [device] if device.type == "cpu" else [device, torch.device("cpu")]
    used = [f"{memory.used(d) / GIB:.1f} of {memory.total(d) / GIB:.0f} GiB" for d in devices]
    return " on the card, ".join(used)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def sampler(decoder: Decoder, tokenizer: Tokenizer, prompt: Sequence[int]) -> Callable[[], str]:
    """A function that continues a prompt, with a fixed seed."""

    def sample() -> str:
        ids = generate(
            decoder,
            prompt,
            SAMPLE_TOKENS,
            Sampling(temperature=0.8, top_k=50),
            stop_ids=[end_id(tokenizer)],
            forbidden_ids=range(tokenizer.size, decoder.config.vocab_size),
            generator=torch.Generator(next(decoder.parameters()).device).manual_seed(0),
        )
        return tokenizer.decode([i for i in ids if i not in tokenizer.special.values()]).strip()

    return sample
