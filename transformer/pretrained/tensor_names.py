"""Their names and layouts of tensors ⇄ ours: a table for each way of naming, used both ways.

Ours is the left side of a row. Where theirs are several tensors and ours is one, the row names them
in the order of our rows. `{}` is the number of the layer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from transformer.config import ModelConfig

Rows = Mapping[str, tuple[str, ...]]


class Naming(NamedTuple):
    """How the tensors of a kind of file are called and laid out."""

    rows: Rows
    head: str
    prefix: str = ""  # before all names but the head's; some files leave it out
    ignored: str = r"(?!)"  # what else may be there: tables that follow from the config
    transposed: bool = False  # matrices of the layers are (in, out)
    interleaved: bool = False  # the numbers that RoPE pairs are neighbours, as in llama.cpp

    def full(self, name: str) -> str:
        """A name with its prefix, as it is written."""
        return name if name == self.head else self.prefix + name


class Place(NamedTuple):
    """Where a tensor of a file belongs: at `rows` rows of our tensor `name`, from `start`."""

    name: str
    start: int
    rows: int
    transposed: bool = False
    heads: int = 0  # how many heads are interleaved in the file; 0: none

    def view(self, ours: Tensor) -> Tensor:
        """The part of our tensor as the file has it, sharing memory; heads (H, D/2, 2, …)."""
        part = ours.narrow(0, self.start, self.rows)
        if self.transposed:
            return part.t()
        if self.heads:
            return part.view(self.heads, 2, -1, *part.shape[1:]).transpose(1, 2)
        return part

    def shape(self, ours: torch.Size) -> tuple[int, ...]:
        """The shape of the file's tensor, when the shape of ours is `ours`."""
        shape = (self.rows, *ours[1:])
        return shape[::-1] if self.transposed else shape


def places(naming: Naming, config: ModelConfig, ours: Mapping[str, Tensor]) -> dict[str, Place]:
    """For every tensor that a file must have, by its name without prefix, where it belongs."""
    belongs = {}
    for name, tensor in ours.items():
        start = 0
        for theirs, heads, rows in _parts(naming, config, name, tensor.size(0)):
            transposed = naming.transposed and tensor.dim() == 2 and name.startswith("blocks.")
            heads = heads if naming.interleaved else 0
            belongs[theirs] = Place(name, start, rows, transposed, heads)
            start += rows
    return belongs


def _parts(naming: Naming, config: ModelConfig, name: str, rows: int) -> list[tuple[str, int, int]]:
    """The tensors that make up one of ours: name, how many rotated heads, and rows of each."""
    module, kind = re.fullmatch(r"(.+)[._](weight|bias)", name).groups()  # type: ignore[union-attr]
    layer = "".join(re.findall(r"\d+", module))
    names = [f"{n.format(layer)}.{kind}" for n in naming.rows[re.sub(r"\d+", "{}", module)]]
    if len(names) == 1:
        return [(names[0], 0, rows)]
    heads = (config.heads, config.kv_heads, config.kv_heads)
    rotated = (config.heads, config.kv_heads, 0)
    return [
        (name, turned, count * config.head_size)
        for name, turned, count in zip(names, rotated, heads, strict=True)
    ]


LLAMA = Naming(
    {
        "tokens": ("embed_tokens",),
        "norm": ("norm",),
        "unembed": ("lm_head",),
        "blocks.{}.attention_norm": ("layers.{}.input_layernorm",),
        "blocks.{}.attention.qkv": (
            "layers.{}.self_attn.q_proj",
            "layers.{}.self_attn.k_proj",
            "layers.{}.self_attn.v_proj",
        ),
        "blocks.{}.attention.qk_norm.q": ("layers.{}.self_attn.q_norm",),
        "blocks.{}.attention.qk_norm.k": ("layers.{}.self_attn.k_norm",),
        "blocks.{}.attention.out": ("layers.{}.self_attn.o_proj",),
        "blocks.{}.feedforward_norm": ("layers.{}.post_attention_layernorm",),
        "blocks.{}.feedforward.gate": ("layers.{}.mlp.gate_proj",),
        "blocks.{}.feedforward.up": ("layers.{}.mlp.up_proj",),
        "blocks.{}.feedforward.down": ("layers.{}.mlp.down_proj",),
    },
    head="lm_head.weight",
    prefix="model.",
    ignored=r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq",
)

GPT2 = Naming(
    {
        "tokens": ("wte",),
        "position.table": ("wpe",),
        "norm": ("ln_f",),
        "unembed": ("lm_head",),
        "blocks.{}.attention_norm": ("h.{}.ln_1",),
        "blocks.{}.attention.qkv": ("h.{}.attn.c_attn",),
        "blocks.{}.attention.out": ("h.{}.attn.c_proj",),
        "blocks.{}.feedforward_norm": ("h.{}.ln_2",),
        "blocks.{}.feedforward.up": ("h.{}.mlp.c_fc",),
        "blocks.{}.feedforward.down": ("h.{}.mlp.c_proj",),
    },
    head="lm_head.weight",
    prefix="transformer.",
    ignored=r"h\.\d+\.attn\.(masked_)?bias",
    transposed=True,
)

GGUF = Naming(
    {
        "tokens": ("token_embd",),
        "norm": ("output_norm",),
        "unembed": ("output",),
        "blocks.{}.attention_norm": ("blk.{}.attn_norm",),
        "blocks.{}.attention.qkv": ("blk.{}.attn_q", "blk.{}.attn_k", "blk.{}.attn_v"),
        "blocks.{}.attention.qk_norm.q": ("blk.{}.attn_q_norm",),
        "blocks.{}.attention.qk_norm.k": ("blk.{}.attn_k_norm",),
        "blocks.{}.attention.out": ("blk.{}.attn_output",),
        "blocks.{}.feedforward_norm": ("blk.{}.ffn_norm",),
        "blocks.{}.feedforward.gate": ("blk.{}.ffn_gate",),
        "blocks.{}.feedforward.up": ("blk.{}.ffn_up",),
        "blocks.{}.feedforward.down": ("blk.{}.ffn_down",),
    },
    head="output.weight",
    ignored=r"rope_freqs\.weight",
)

GEMMA3 = LLAMA._replace(
    rows={
        **LLAMA.rows,
        "blocks.{}.attention_out_norm": ("layers.{}.post_attention_layernorm",),
        "blocks.{}.feedforward_norm": ("layers.{}.pre_feedforward_layernorm",),
        "blocks.{}.feedforward_out_norm": ("layers.{}.post_feedforward_layernorm",),
    }
)

LFM2 = LLAMA._replace(
    rows={
        **LLAMA.rows,
        "norm": ("embedding_norm",),
        "blocks.{}.attention_norm": ("layers.{}.operator_norm",),
        "blocks.{}.attention.qk_norm.q": ("layers.{}.self_attn.q_layernorm",),
        "blocks.{}.attention.qk_norm.k": ("layers.{}.self_attn.k_layernorm",),
        "blocks.{}.attention.out": ("layers.{}.self_attn.out_proj",),
        "blocks.{}.attention.conv_in": ("layers.{}.conv.in_proj",),
        "blocks.{}.attention.conv": ("layers.{}.conv.conv",),
        "blocks.{}.attention.conv_out": ("layers.{}.conv.out_proj",),
        "blocks.{}.feedforward_norm": ("layers.{}.ffn_norm",),
        "blocks.{}.feedforward.gate": ("layers.{}.feed_forward.w1",),
        "blocks.{}.feedforward.up": ("layers.{}.feed_forward.w3",),
        "blocks.{}.feedforward.down": ("layers.{}.feed_forward.w2",),
    }
)

NAMINGS: Mapping[str, Naming] = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "gpt2": GPT2,
    "smollm3": LLAMA,
    "gemma3_text": GEMMA3,
    "lfm2": LFM2,
}
