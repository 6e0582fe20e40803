"""What a decoder consists of, and the memory it takes, without allocating its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from transformer.config import ConfigError, ModelConfig
from transformer.decoder import Decoder, meta_decoder
from transformer.io import load_config
from transformer.presets import PRESETS, preset, settings_of

VOCABULARY = 1024  # where neither the preset nor the command line gives one
BYTES = {"float32": 4, "bfloat16": 2}

# Part → what the names of its weights contain; the first that matches.
PARTS: Mapping[str, str] = {
    "embedding": "tokens.",
    "positions": "position.",
    "convolution": "convolution.",
    "attention": ".attention.",
    "feed-forward": ".feedforward.",
    "norms": "norm.",
    "head": "unembed.",
}


@dataclass(frozen=True)
class Weight:
    """A weight, or the same weight of several layers."""

    name: str
    part: str
    shape: tuple[int, ...]
    copies: int
    size: int  # numbers in all copies

    @property
    def label(self) -> str:
        """As it is displayed: `12 × blocks.attention.qkv.weight`."""
        return f"{self.copies} × {self.name}" if self.copies > 1 else self.name


def find_config(name: str, vocabulary: int | None = None) -> ModelConfig:
    """The config of a preset, or of a model saved in the folder `name`."""
    if name in PRESETS or not Path(name).is_dir():
        default = settings_of(name).get("vocab_size", VOCABULARY)
        return preset(name, vocab_size=vocabulary or default)
    config = load_config(Path(name))
    return replace(config, vocab_size=vocabulary or config.vocab_size)


def weights(decoder: Decoder) -> list[Weight]:
    """Every weight; the same one of several layers is one entry."""
    copies: Counter[tuple[str, torch.Size]] = Counter()
    for name, weight in decoder.named_parameters():
        place, _, inside = name.partition(".")
        _, _, inside = inside.partition(".")
        short = f"blocks.{inside}" if place == "blocks" else name
        copies[short, weight.shape] += 1
    return [
        Weight(name, _part(name), tuple(shape), count, count * shape.numel())
        for (name, shape), count in copies.items()
    ]


def _part(name: str) -> str:
    return next(part for part, text in PARTS.items() if text in name)


def parameters(weights: Iterable[Weight]) -> dict[str, int]:
    """Numbers in each part."""
    return {part: sum(w.size for w in weights if w.part == part) for part in PARTS}


def memory(decoder: Decoder, context: int) -> dict[str, int]:
    """How many numbers each use of memory takes; those of optimizers are for PyTorch's own.

    AdamW keeps two for each parameter, Muon, which trains the matrices of the layers, one.
    """
    block = decoder.config.block
    if not 0 < context <= block:
        raise ConfigError(f"context {context} does not fit block {block}: pick 1 to {block}")
    sizes = {name: (weight.dim(), weight.numel()) for name, weight in decoder.named_parameters()}
    total = sum(size for _, size in sizes.values())
    matrices = sum(s for n, (dim, s) in sizes.items() if dim == 2 and n.startswith("blocks."))
    return {
        "weights": total,
        "gradients": total,
        "AdamW": 2 * total,
        "or Muon + AdamW": 2 * total - matrices,
        f"cache of {context:,} tokens, one row": decoder.cache_size(context),
    }


def show(name: str, config: ModelConfig, context: int | None, dtype: str, console: Console) -> None:
    """Print everything about one decoder, with a cache of `context` tokens or else a full block."""
    decoder = meta_decoder(config)
    uses = memory(decoder, config.block if context is None else context)
    entries = weights(decoder)
    total = uses["weights"]
    console.print(f"{name}: {total:,} parameters", style="bold")
    console.print(_summary(config) + "\n")
    layers = _table("layer", "shape", "parameters")
    for weight in entries:
        layers.add_row(weight.label, _dimensions(weight.shape), f"{weight.size:,}")
    parts = _table("part", "parameters", "share")
    for part, size in parameters(entries).items():
        if size:
            parts.add_row(part, f"{size:,}", f"{size / total:.1%}")
    needs = _table(f"memory in {dtype}", "numbers", "MiB")
    for use, numbers in uses.items():
        needs.add_row(use, f"{numbers:,}", _mebibytes(numbers, dtype))
    for table in (layers, parts, needs):
        console.print(table, "")
    console.print("Training also keeps activations, which grow with the batch.", style="dim")


def show_presets(vocabulary: int | None, dtype: str, console: Console) -> None:
    """Print the presets and their sizes."""
    table = _table("preset", "parameters", "MiB", "vocabulary", "block", "width", "layers", "heads")
    for name in PRESETS:
        config = find_config(name, vocabulary)
        total = sum(weight.size for weight in weights(meta_decoder(config)))
        open_vocabulary = vocabulary is None and "vocab_size" not in settings_of(name)
        numbers = (config.block, config.width, config.layers, config.heads)
        table.add_row(
            name,
            f"{total:,}",
            _mebibytes(total, dtype),
            f"{config.vocab_size:,}{'*' if open_vocabulary else ''}",
            *(f"{number:,}" for number in numbers),
        )
    console.print(table, "")
    console.print(
        f"MiB of the weights in {dtype}. * for example: --vocab N says yours.", style="dim"
    )


def _summary(config: ModelConfig) -> str:
    return (
        f"vocabulary {config.vocab_size:,}, block {config.block:,}, width {config.width:,}, "
        f"{config.layers} layers, {config.heads} heads of {config.head_size} (keys and values "
        f"{config.kv_heads}), feed-forward {config.hidden:,}; position {config.position}, pattern "
        f"{config.pattern}, attention {config.attention}, {config.feedforward}, norm "
        f"{config.norm} ({config.placement}), dropout {config.dropout:g}, "
        f"{'tied' if config.tied else 'separate'} head{_convolution(config.conv_kernel)}"
        f"{_layer_types(config)}"
    )


def _layer_types(config: ModelConfig) -> str:
    """The layers that differ from the rest, each group with its differences."""
    groups: dict[str, list[str]] = {}
    for index in range(config.layers if config.layer_types else 0):
        changes = asdict(config.layer_types[index % len(config.layer_types)]).items()
        words = ", ".join(f"{name} {value}" for name, value in changes if value is not None)
        if words:
            groups.setdefault(words, []).append(str(index + 1))
    return "".join(f"; layers {', '.join(n)}: {words}" for words, n in groups.items())


def _convolution(kernel: int) -> str:
    return f", embeddings of {kernel} tokens mixed" if kernel > 1 else ""


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    for other in others:
        table.add_column(other, justify="right", no_wrap=True)
    return table


def _dimensions(shape: tuple[int, ...]) -> str:
    return " × ".join(f"{size:,}" for size in shape)


def _mebibytes(numbers: int, dtype: str) -> str:
    return f"{numbers * BYTES[dtype] / 2**20:,.2f}"
