"""The live view of a run: where it stands, how fast it goes, and what the model says by itself.

In a pipe or a file only the lines of the evaluations appear.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import torch
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.common.screen import Screen
from pipeline.training.hardware import memory
from pipeline.training.progress import Progress

RECENT = 30.0  # seconds over which the rate is told
GIB = 1 << 30


@dataclass
class Speed:
    """Steps and tokens a second, of late."""

    seen: deque[tuple[float, int, int]] = field(default_factory=deque)

    def note(self, at: Progress) -> None:
        """Take in where the run stands now."""
        now = time.monotonic()
        if self.seen and at.step <= self.seen[-1][1]:  # it has gone back
            self.seen.clear()
        self.seen.append((now, at.step, at.tokens))
        while len(self.seen) > 2 and now - self.seen[0][0] > RECENT:
            self.seen.popleft()

    def rates(self) -> tuple[float, float]:
        """Steps and tokens a second; 0 while nothing is known."""
        if len(self.seen) < 2:
            return 0.0, 0.0
        (t0, step0, tokens0), (t1, step1, tokens1) = self.seen[0], self.seen[-1]
        span = max(t1 - t0, 1e-9)
        return (step1 - step0) / span, (tokens1 - tokens0) / span


class Watch:
    """What a person sees while a model learns; use it as a context."""

    def __init__(
        self, screen: Screen, device: torch.device, flops: float, peak: float, epoch: int
    ) -> None:
        self.screen, self.device, self.epoch = screen, device, epoch
        self.held = [device] if device.type == "cpu" else [device, torch.device("cpu")]
        self.cost = flops / peak  # of a token, in seconds of the machine at its best
        self.speed = Speed()
        self.at: Progress | None = None
        self.loss = self.rate = 0.0
        self.validation = self.sample = ""
        self.live = Live(
            console=screen.console,
            get_renderable=self._view,
            refresh_per_second=4,
            transient=True,
        )

    def __enter__(self) -> Watch:
        if self.screen.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live.is_started:
            self.live.stop()

    def took(self, at: Progress, loss: float, rate: float) -> None:
        """A step was taken."""
        self.at, self.loss, self.rate = at, loss, rate
        self.speed.note(at)

    def evaluated(self, at: Progress, per_token: float, bits: float, better: bool) -> None:
        """The model was evaluated."""
        self.validation = f"{per_token:.3f} · {bits:.3f} bits/byte"
        self.screen.say(
            f"    step {at.step:>6,}/{at.schedule.total:,}  loss {self.loss:6.3f}  "
            f"val {per_token:6.3f}  {bits:.3f} bits/byte {'*' if better else ' '}  "
            f"{at.tokens / max(at.seconds, 1e-9):,.0f} tokens/s"
        )

    def said(self, sample: str) -> None:
        """The model said something of its own."""
        self.sample = " ⏎ ".join(sample.split("\n"))[:100]
        if self.sample:
            self.screen.note(f"“{self.sample}”")

    def share_of_peak(self, tokens_a_second: float) -> float:
        """How much of what the machine can do a rate uses."""
        return tokens_a_second * self.cost

    def _view(self) -> RenderableType:
        at = self.at
        if at is None:
            return Text("    the first step …", style="dim")
        steps, tokens = self.speed.rates()
        left = (at.schedule.total - at.step) / steps if steps else 0.0
        passes, within = divmod(at.samples, self.epoch)
        facts = {
            "step": f"{at.step:,} of {at.schedule.total:,}, {_clock(left)} left",
            "loss": f"{self.loss:.3f}   rate {self.rate:.1e}",
            "validation": self.validation,
            "best": f"{at.best:.3f} bits/byte at step {at.best_step:,}",
            "speed": f"{tokens:,.0f} tokens/s, {self.share_of_peak(tokens):.0%} of the "
            f"{self.device.type}'s peak",
            "memory": self._memory(),
            "data": f"pass {passes + 1}, {within / self.epoch:.0%} of it",
            "it says": f"“{self.sample}”" if self.sample else "",
        }
        table = Table.grid(padding=(0, 2))
        for name, value in facts.items():
            if value:
                table.add_row(f"    [dim]{name}[/]", escape(value))
        bar = ProgressBar(at.schedule.total, at.step, width=60)
        return Group(Text(""), _indented(bar), table)

    def _memory(self) -> str:
        """What is held of the device's memory, and beside a card of the machine's."""
        told = [f"{memory.used(d) / GIB:.1f} of {memory.total(d) / GIB:.0f} GiB" for d in self.held]
        return " on the card, ".join(told)


def _indented(bar: ProgressBar) -> Table:
    row = Table.grid()
    row.add_row("    ", bar)
    return row


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
