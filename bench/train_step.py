"""How fast and how large a training step is, beside nanoGPT's, side by side in one run.

    PYTHONPATH=. python bench/train_step.py --peer model.py            about ten minutes
    PYTHONPATH=. python bench/train_step.py --peer model.py --quick    one repetition, no compiling

`--peer` is model.py of github.com/karpathy/nanoGPT. A step is zero_grad, forward, loss, backward,
clipping and AdamW on 16 rows of 256 tokens. Ours is set to the form that nanoGPT's has: learned
positions, layer norm, gelu, tied head, no bias, no dropout. Both are tried in float32 and, where
the processor has instructions for it, with bfloat16 autocast, nanoGPT also compiled; what is
fastest of each then takes turns with the other's. Each runs in a process of its own, which waits
while the other takes its turn of two steps, of which the better counts; its peak of memory is the
whole process's, compiling included where it is compiled. Rates are shown by the clock, and by the
time of the processors that was used, which other programs on the machine disturb less. Waiting
threads sleep in all of them. For information: our default decoder (rotary, grouped, swiglu, rms)
with Muon and AdamW, and recomputing blocks.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

ROWS, TOKENS = 16, 256
SHAPES = {
    "small": {"vocab_size": 4096, "width": 256, "layers": 4, "heads": 4},
    "course1": {"vocab_size": 1029, "width": 512, "layers": 4, "heads": 8},
}
Step = Callable[[], None]
Rates = tuple[float, float]


def ours(shape: dict[str, int], variant: str, dtype: str) -> Step:
    """A step of this project's decoder, as `fit` takes it."""
    import torch

    from pipeline.training.loss import summed
    from pipeline.training.optimizer import optimizers, set_rate
    from transformer.config import ModelConfig
    from transformer.decoder import Decoder

    gpt: dict[str, Any] = {
        "kv_heads": shape["heads"],
        "hidden": 4 * shape["width"],
        "position": "learned",
        "norm": "layer",
        "feedforward": "gelu",
    }
    config = ModelConfig(
        **shape, block=TOKENS, dropout=0.0, **({} if variant == "default" else gpt)
    )
    decoder = Decoder(config).train()
    decoder.recompute = variant == "recompute"
    optims = optimizers(decoder, 0.1)
    if variant != "default":
        optims = [torch.optim.AdamW(decoder.parameters(), betas=(0.9, 0.95), fused=True)]
    set_rate(optims, 1e-3)
    x, y = batch(shape["vocab_size"])

    def step() -> None:
        with autocast(dtype):
            nats, count = summed(decoder, x, y)
        (nats / count).backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        for optimizer in optims:
            optimizer.step()
        decoder.zero_grad()

    return step


def theirs(shape: dict[str, int], peer: str, dtype: str, compile: bool) -> Step:
    """A step of nanoGPT's model, as its train.py takes it."""
    import torch

    spec = importlib.util.spec_from_file_location("nanogpt_model", peer)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module
    spec.loader.exec_module(module)
    config = module.GPTConfig(
        block_size=TOKENS,
        vocab_size=shape["vocab_size"],
        n_layer=shape["layers"],
        n_head=shape["heads"],
        n_embd=shape["width"],
        dropout=0.0,
        bias=False,
    )
    model = module.GPT(config).train()
    optimizer = model.configure_optimizers(0.1, 1e-3, (0.9, 0.95), "cpu")
    x, y = batch(shape["vocab_size"])
    run = torch.compile(model) if compile else model

    def step() -> None:
        with autocast(dtype):
            _, loss = run(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def batch(vocabulary: int) -> Any:
    """x and y, the same for all."""
    import torch

    drawn = torch.Generator().manual_seed(0)
    return torch.randint(0, vocabulary, (2, ROWS, TOKENS), generator=drawn)


def autocast(dtype: str) -> Any:
    """The context of a forward pass."""
    import torch

    return torch.autocast("cpu", torch.bfloat16) if dtype == "bfloat16" else nullcontext()


# --- one way in a process of its own ---------------------------------------------------------


def work(words: list[str]) -> None:
    """Take a step for each line that comes in; print its seconds, and at the end the peak in MB."""
    who, shape, dtype, compile, threads, peer = words
    nanogpt = who == "nanoGPT"
    import torch

    torch.set_num_threads(int(threads))
    sizes = SHAPES[shape]
    step = theirs(sizes, peer, dtype, compile == "compiled") if nanogpt else ours(sizes, who, dtype)
    step()
    print("ready", flush=True)
    for _ in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        step()
        print(time.perf_counter() - began, time.process_time() - used, flush=True)
    print(peak(), flush=True)


def peak() -> float:
    """The most memory that this process ever had, in MB."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Way:
    """One way to train, waiting to be asked for its next step."""

    def __init__(self, who: str, shape: str, dtype: str, compile: str, args: Any) -> None:
        self.who, self.name = who, f"{who}, {dtype}, {compile}"
        words = [who, shape, dtype, compile, str(args.threads), str(args.peer)]
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        )
        while (line := self._line()) != "ready":
            if not line:
                raise SystemExit(f"failed: {self.name}")

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def step(self) -> Rates:
        """Tokens a second and a processor's second, of the better of two steps each."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n\n")
        self.process.stdin.flush()
        times = [[float(seconds) for seconds in self._line().split()] for _ in range(2)]
        wall, used = map(min, zip(*times, strict=True))
        return ROWS * TOKENS / wall, ROWS * TOKENS / used

    def end(self) -> float:
        """The peak of memory in MB."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        peak_mb = float(self._line())
        self.process.wait()
        return peak_mb


@contextmanager
def running(*ways: Way) -> Iterator[tuple[Way, ...]]:
    """End the processes whatever happens."""
    try:
        yield ways
    finally:
        for variant in ways:
            variant.process.kill()


# --- the comparison --------------------------------------------------------------------------


def compare(shape: str, args: Any) -> None:
    """Find what is fastest of each side, let these take turns, and print."""
    print(f"\n{shape}: {SHAPES[shape]}, {ROWS} x {TOKENS} tokens", flush=True)
    best = [fastest(who, shape, args) for who in ("nanoGPT", "ours")]
    with running(*(Way(who, shape, *how, args) for who, how in best)) as (peer, mine):
        turns = [(peer.step(), mine.step()) for _ in range(args.repetitions)]
        memory = [peer.end(), mine.end()]
    for variant, rates, peak in zip((peer, mine), zip(*turns, strict=True), memory, strict=True):
        wall, used = map(statistics.median, zip(*rates, strict=True))
        print(
            f"  {variant.name:32s} {wall:6.0f} tokens/s  {used:6.0f} a processor's second  "
            f"{peak:5.0f} MB"
        )
    print(f"  ours / nanoGPT, {len(turns)} turns: {memory[1] / memory[0]:.2f} times the memory")
    for which, what in enumerate(("tokens/s", "tokens a processor's second")):
        ratios = sorted(ours[which] / theirs[which] for theirs, ours in turns)
        print(
            f"    {statistics.median(ratios):.2f} times the {what} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )
    if not args.quick:
        for who in ("default", "recompute"):
            tell(who, shape, *best[1][1], args)


def fastest(who: str, shape: str, args: Any) -> tuple[str, tuple[str, str]]:
    """The number format and the road in which a side takes its shortest step."""
    dtypes = ["float32", "bfloat16"] if has_bfloat16() else ["float32"]
    modes = ["plain", "compiled"] if who == "nanoGPT" and not args.quick else ["plain"]
    rates = {
        (dtype, mode): tell(who, shape, dtype, mode, args) for dtype in dtypes for mode in modes
    }
    return who, max(rates, key=lambda how: rates[how])


def tell(who: str, shape: str, dtype: str, mode: str, args: Any) -> float:
    """The best of some steps of one way, alone, printed with its memory."""
    began = time.perf_counter()
    with running(Way(who, shape, dtype, mode, args)) as (variant,):
        ready = time.perf_counter() - began
        rate = max(variant.step()[0] for _ in range(1 if args.quick else 2))
        peak = variant.end()
    print(
        f"    alone: {variant.name:30s} {rate:6.0f} tokens/s best, {peak:5.0f} MB, "
        f"ready after {ready:.0f} s",
        flush=True,
    )
    return rate


def has_bfloat16() -> bool:
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported())


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", type=Path, required=True, help="nanoGPT's model.py")
    parser.add_argument("--shape", choices=SHAPES, help="only this one")
    parser.add_argument("--quick", action="store_true", help="one repetition, no compiling")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.repetitions = 1 if args.quick else 7
    for shape in [args.shape] if args.shape else SHAPES:
        compare(shape, args)


if __name__ == "__main__":
    main()
