"""What a GPU makes of it: training at the 124M shape, decoding, and adapters on 8 billion weights.

    PYTHONPATH=. python bench/gpu.py --peer nanoGPT/model.py     some ten minutes on one card
    PYTHONPATH=. python bench/gpu.py --dry-run                  all of it at toy sizes, on the CPU

Training: one step of GPT-2's shape without biases, block 1,024, bfloat16 autocast: ours as stage 5
takes it (not compiled, Muon and AdamW) beside the model of nanoGPT's model.py (compiled, fused
AdamW) in the same run, in turns, both with the same rows; the share is of the
card's published peak in bfloat16 where the table below knows it, else of a large matrix product,
with operations counted as PaLM does (appendix B). Decoding: GPT-2 124M in bfloat16, 200 ids after
50, batch 1, with CUDA graphs and without. Adapters: a decoder of Llama 3 8B's shape with random
weights made on the card, rank 16 on all linear layers, bfloat16; plain and packed in four bits.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.common.errors import SettingsError
from pipeline.training.adapters import lora, nf4
from pipeline.training.auto import Tuning
from pipeline.training.hardware.device import Machine, peak_flops, timed
from pipeline.training.hardware.flops import per_token
from pipeline.training.loss import Objective
from pipeline.training.optimizer import Optimizers, optimizers, set_rate
from transformer import generate
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.generate import Sampling
from transformer.presets import preset

PEAKS = {  # dense; of names that hold one another, the longer comes first
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
}


@dataclass(frozen=True)
class Sizes:
    """What is measured, and how often."""

    device: torch.device
    small: ModelConfig  # to train and to decode
    large: ModelConfig  # to adapt
    rows: int
    long: int  # tokens a row when adapting
    turns: int
    compiled: bool  # the peer


def real() -> Sizes:
    """On a card."""
    small = preset("gpt2", vocab_size=50_304, bias=False, dropout=0.0)
    return Sizes(torch.device("cuda"), small, preset("llama3-8b"), 16, 1024, 7, True)


def toy() -> Sizes:
    """The same code in a second or two."""
    small = preset("gpt2", vocab_size=128, width=64, layers=2, heads=2, kv_heads=2, block=64)
    small = replace(small, bias=False, qkv_bias=False, dropout=0.0)
    large = preset("llama3-8b", vocab_size=128, width=64, layers=2, heads=4, kv_heads=2)
    large = replace(large, hidden=128, head_size=16, block=64)
    return Sizes(torch.device("cpu"), small, large, 2, 32, 2, False)


# --- training ----------------------------------------------------------------------------------


Loss = Callable[[Any, Any], torch.Tensor]  # the mean of x and y


def trained(sizes: Sizes, model: nn.Module, optims: Optimizers, loss: Loss) -> Any:
    """A training step of `model`, ready to be timed."""
    x = torch.randint(0, sizes.small.vocab_size, (sizes.rows, sizes.small.block + 1))
    x, y = (half.contiguous().to(sizes.device) for half in (x[:, :-1], x[:, 1:]))

    def step() -> None:
        model.zero_grad()
        with torch.autocast(sizes.device.type, torch.bfloat16):
            mean = loss(x, y)
        torch.autograd.backward(mean)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optims:
            optimizer.step()

    return step


def ours(sizes: Sizes) -> Any:
    """A step of this project."""
    decoder = on_device(sizes, sizes.small, torch.float32)
    objective = Objective(decoder).train()
    optims = optimizers(decoder, 0.1)
    set_rate(optims, 1e-4)
    return trained(sizes, decoder, optims, lambda x, y: objective(x, y) / y.numel())


def theirs(sizes: Sizes, path: Path) -> Any:
    """A step of nanoGPT's model."""
    spec = importlib.util.spec_from_file_location("peer", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be read: give nanoGPT's model.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["peer"] = module
    spec.loader.exec_module(module)
    shape = sizes.small
    config = module.GPTConfig(
        block_size=shape.block,
        vocab_size=shape.vocab_size,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_embd=shape.width,
        dropout=0.0,
        bias=False,
    )
    model = module.GPT(config).to(sizes.device)
    called = torch.compile(model) if sizes.compiled else model
    optims: Optimizers = [
        torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    ]
    return trained(sizes, model, optims, lambda x, y: called(x, y)[1])


def training(sizes: Sizes, peer: Path | None) -> None:
    """Both sides in turns; tokens a second, share of the peak, ratio."""
    steps = {"soundalike": ours(sizes)} | ({"nanoGPT": theirs(sizes, peer)} if peer else {})
    for step in steps.values():
        for _ in range(3):
            step()
    tokens = sizes.rows * sizes.small.block
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(sizes.turns):
        for name, step in steps.items():
            rates[name].append(tokens / timed(step))
    with torch.device("meta"):
        operations = per_token(Decoder(sizes.small))
    peak, of = the_peak(sizes.device)
    print(
        f"training, {operations / 1e6:,.1f} MFLOP a token; peak {peak / 1e12:,.1f} TFLOP/s ({of})"
    )
    for name, rate in rates.items():
        middle = statistics.median(rate)
        print(
            f"  {name:12s} {middle:10,.0f} tokens/s, {middle * operations / peak:6.1%} of the peak"
        )
    if peer:
        ratios = [a / b for a, b in zip(rates["soundalike"], rates["nanoGPT"], strict=True)]
        middle = statistics.median(ratios)
        print(f"  turn by turn: median {middle:.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


def the_peak(device: torch.device) -> tuple[float, str]:
    """Operations a second of the device in bfloat16, and where the figure is from."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for known, peak in PEAKS.items():
            if re.search(rf"\b{known}\b", name):
                return peak, f"published for {known}"
        return peak_flops(Machine(device, "bfloat16")), "a large product in bfloat16"
    return peak_flops(Machine(device)), "a large product in float32"


# --- decoding ----------------------------------------------------------------------------------


def decoding(sizes: Sizes) -> None:
    """Ids a second after the first, with CUDA graphs and without."""
    decoder = on_device(sizes, sizes.small, torch.bfloat16).eval()
    prompt, new = sizes.small.block // 20, sizes.small.block // 5
    rates: dict[str, list[float]] = {"CUDA graphs": [], "reference path": []}
    for turn in range(sizes.turns + 1):
        for name, measured in rates.items():
            with cuda_graphs(name == "CUDA graphs"):
                ids = generate.generate(decoder, range(prompt), new, Sampling(temperature=0))
                stamps = [time.perf_counter() for _ in ids]
            if turn:  # the first is for warming up
                measured.append((new - 1) / (stamps[-1] - stamps[0]))
    print(f"decoding, {new} ids after {prompt}")
    for name, measured in rates.items():
        print(f"  {name:12s} {statistics.median(measured):8,.1f} ids/s, {max(measured):,.1f} best")


@contextmanager
def cuda_graphs(enabled: bool) -> Iterator[None]:
    """Without it, `generate` takes the reference path for single tokens."""
    import transformer.fast.single

    kept = generate.cuda_graph_step, transformer.fast.single.compiled_step
    if not enabled:
        generate.cuda_graph_step = transformer.fast.single.compiled_step = lambda decoder: None
    try:
        yield
    finally:
        generate.cuda_graph_step, transformer.fast.single.compiled_step = kept


# --- adapters ----------------------------------------------------------------------------------


def adapting(sizes: Sizes, method: str) -> None:
    """Tokens a second and memory of one method; fewer rows where the memory is too small."""
    decoder = on_device(sizes, sizes.large, torch.bfloat16)
    if method == "qlora":
        nf4.pack(decoder, sizes.device)
        free()
    lora.adapted(decoder, Tuning(rank=16, dropout=0.0))
    learning = [weight for weight in decoder.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-4, fused=True)
    objective = Objective(decoder).train()

    def step(rows: int) -> None:
        x = torch.randint(0, sizes.large.vocab_size, (rows, sizes.long), device=sizes.device)
        y = x.roll(-1, dims=1)
        y[:, : 3 * sizes.long // 4] = -1
        with torch.autocast(sizes.device.type, torch.bfloat16):
            mean = objective(x, y) / (y >= 0).sum()
        torch.autograd.backward(mean)
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    rows = next((rows for rows in (4, 2, 1) if fits(step, rows)), 0)
    if not rows:
        print(f"{method}: not one row of {sizes.long} tokens fits")
        return
    durations = [timed(lambda: step(rows)) for _ in range(sizes.turns)]
    rate = rows * sizes.long / statistics.median(durations)
    print(f"{method}, {rows} rows of {sizes.long} tokens: {rate:,.0f} tokens/s{held(sizes.device)}")


def fits(step: Callable[[int], None], rows: int) -> bool:
    """Whether a step of this many rows fits into the memory."""
    full = False
    try:
        step(rows)
    except torch.OutOfMemoryError:
        full = True
    if full:
        free()  # not before: the error holds on to what the step made
    return not full


# --- what they share ---------------------------------------------------------------------------


def on_device(sizes: Sizes, config: ModelConfig, dtype: torch.dtype) -> Decoder:
    """A decoder with random weights, made where it will be."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with sizes.device:
            decoder = Decoder(config)
    finally:
        torch.set_default_dtype(usual)
    return decoder.to(sizes.device)


def free() -> None:
    """Give back the memory of what is no longer used, and count the peak anew."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def held(device: torch.device) -> str:
    """The most memory of a card since `free`, to add to a line."""
    if device.type != "cuda":
        return ""
    return f", {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB at the peak"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", type=Path, help="nanoGPT's model.py")
    parser.add_argument("--dry-run", action="store_true", help="toy sizes on the CPU")
    args = parser.parse_args()
    if not (args.dry_run or torch.cuda.is_available()):
        print("left out: there is no CUDA device here; --dry-run runs it at toy sizes")
        return
    sizes = toy() if args.dry_run else real()
    where = torch.cuda.get_device_name() if sizes.device.type == "cuda" else "CPU, a dry run"
    print(f"{where}, torch {torch.__version__}")
    torch.set_float32_matmul_precision("high")
    training(sizes, args.peer)
    free()
    decoding(sizes)
    for method in ("lora", "qlora"):
        free()
        try:
            adapting(sizes, method)
        except SettingsError as error:
            print(f"{method}: left out ({error})")


if __name__ == "__main__":
    main()
