"""How fast ids come, beside transformers' `generate`, side by side in one run.

    PYTHONPATH=. python bench/generate.py            some minutes
    PYTHONPATH=. python bench/generate.py --quick    the small model, fewer tokens

Each model has random weights, is saved by transformers and opened by `transformer.pretrained`, so
that both compute the same. Both continue 50 ids by 200, greedily, batch 1, in float32 and in
bfloat16; the four take turns, so that all meet the same noise. Shown apart: the time to the first
new id (reading the prompt) and the rate of the others; then how often the better dtype of ours is
as fast as the better one of theirs, and how far logits are from transformers' in float32: those of
a whole pass, and those that follow a single token.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import transformers

from transformer import pretrained
from transformer.decoder import Decoder
from transformer.fast.single import compiled_step
from transformer.generate import Sampling, generate

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

PROMPT = list(range(50))
GREEDY = Sampling(temperature=0)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
NAMES = tuple(DTYPES)
WHO = ("soundalike", "transformers")
Stamps = list[float]  # seconds at the start, and as each new id came


def gpt2(**shape: int) -> Any:
    """transformers' GPT-2 with random weights."""
    config = transformers.GPT2Config(bos_token_id=0, eos_token_id=None, **shape)
    return transformers.GPT2LMHeadModel(config)


def llama(**shape: int) -> Any:
    """transformers' Llama with random weights."""
    config = transformers.LlamaConfig(bos_token_id=0, eos_token_id=None, **shape)
    return transformers.LlamaForCausalLM(config)


MODELS: dict[str, Callable[[], Any]] = {
    "GPT-2 shape, 13M": lambda: gpt2(
        vocab_size=1029, n_positions=256, n_embd=512, n_layer=4, n_head=8
    ),
    "Llama shape, 13M": lambda: llama(
        vocab_size=1029,
        max_position_embeddings=256,
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=4,
        num_attention_heads=8,
        tie_word_embeddings=True,
    ),
    "GPT-2, 124M": gpt2,
}


class Clock(transformers.LogitsProcessor):
    """Notes when transformers is about to choose an id."""

    def __init__(self) -> None:
        self.stamps: Stamps = [time.perf_counter()]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.stamps.append(time.perf_counter())
        return scores


def theirs(model: Any, new: int) -> Stamps:
    """One run of transformers."""
    clock = Clock()
    model.generate(
        torch.tensor([PROMPT]),
        attention_mask=torch.ones(1, len(PROMPT), dtype=torch.long),
        max_new_tokens=new,
        min_new_tokens=new,
        do_sample=False,
        pad_token_id=0,
        logits_processor=[clock],
    )
    return clock.stamps


def ours(decoder: Decoder, new: int) -> Stamps:
    """One run of this project."""
    stamps = [time.perf_counter()]
    stamps += (time.perf_counter() for _ in generate(decoder, PROMPT, new, GREEDY))
    return stamps


def contestants(make: Callable[[], Any], folder: Path) -> Iterator[tuple[str, Any, Any]]:
    """Name, way and model of all that take turns."""
    torch.manual_seed(0)
    make().save_pretrained(folder)
    for name, dtype in DTYPES.items():
        peer = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        yield f"transformers {name}", theirs, peer.eval()
        yield f"soundalike {name}", ours, pretrained.load(folder, dtype)


def race(title: str, make: Callable[[], Any], new: int, repetitions: int) -> None:
    """Let all ways take turns on one model, and print what they took."""
    with tempfile.TemporaryDirectory() as folder:
        ways = list(contestants(make, Path(folder)))
    size = sum(weight.numel() for weight in ways[1][2].parameters()) / 1e6
    print(f"\n{title}: {size:.1f} M parameters, {new} new ids after {len(PROMPT)}", flush=True)
    runs_of: dict[str, list[Stamps]] = {name: [] for name, *_ in ways}
    for repetition in range(repetitions + 1):
        for name, continuation, model in ways:
            stamps = continuation(model, new)
            if len(stamps) != new + 1:
                raise RuntimeError(f"{name} gave {len(stamps) - 1} ids of {new}")
            if repetition:  # the first is for warming up
                runs_of[name].append(stamps)
    tell(runs_of)
    distances(ways)


def tell(runs_of: dict[str, list[Stamps]]) -> None:
    """A line for each way, then how much faster the best of ours is than the best of theirs."""
    rates = {name: [(len(r) - 2) / (r[-1] - r[1]) for r in runs] for name, runs in runs_of.items()}
    for name, runs in runs_of.items():
        first = min(run[1] - run[0] for run in runs)
        print(
            f"  {name:22s} first id {first * 1e3:7.1f} ms   then {max(rates[name]):7.1f} ids/s "
            f"best, {statistics.median(rates[name]):7.1f} median"
        )
    turns = [
        max(ours) / max(theirs)
        for ours, theirs in zip(
            *(zip(*(rates[f"{who} {dtype}"] for dtype in NAMES), strict=True) for who in WHO),
            strict=True,
        )
    ]
    print(
        f"  best dtype against best dtype, turn by turn: median {statistics.median(turns):.2f}, "
        f"{min(turns):.2f} to {max(turns):.2f}"
    )


@torch.no_grad()
def distances(ways: list[tuple[str, Any, Any]]) -> None:
    """How far logits are from transformers' in float32, beside how far they spread."""
    ids = torch.tensor([PROMPT])
    exact = ways[0][2](ids).logits
    print(f"  logits spread by {exact.std():.2f} (standard deviation), and are off by at most")
    for name, continuation, model in ways[1:]:
        if continuation is theirs:
            print(f"    {name:20s} {_off(model(ids).logits, exact):.1e}")
            continue
        cache, fast = model.new_cache(), compiled_step(model)
        model(ids[:, :-1], cache)
        step = fast(PROMPT[-1], cache)
        print(
            f"    {name:20s} {_off(model(ids), exact):.1e}, "
            f"after a single token {_off(step, exact[:, -1]):.1e}"
        )


def _off(logits: torch.Tensor, exact: torch.Tensor) -> float:
    return float((logits.float() - exact).abs().max())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="only the first model, fewer tokens")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(
        f"{args.threads} threads, torch {torch.__version__}, transformers "
        f"{transformers.__version__}"
    )
    for title, make in list(MODELS.items())[: 1 if args.quick else None]:
        new, repetitions = (40, 2) if args.quick else (200, 7 if "13M" in title else 3)
        race(title, make, new, repetitions)


if __name__ == "__main__":
    main()
