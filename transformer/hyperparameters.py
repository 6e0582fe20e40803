"""What can be chosen about a decoder, and what follows from the choices when it is left open.

Nothing here or in config.py and constraints.py imports torch, so that settings can be checked and
shown at once; the tables that turn a name into code stand beside that code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Position = Literal["none", "learned", "sinusoidal", "relative", "rope"]
Pattern = Literal["full", "local", "dilated", "chunked", "global_local", "bigbird"]
Attention = Literal["grouped", "linear", "latent", "short_conv"]
FeedForward = Literal["relu", "leaky_relu", "silu", "gelu", "gelu_tanh", "swiglu", "geglu_tanh"]
Norm = Literal["layer", "rms", "rms_centered", "batch"]
Placement = Literal["pre", "post", "sandwich"]


@dataclass(frozen=True, kw_only=True)
class LayerType:
    """How some layers differ from the rest of the model; None is as the model has it."""

    attention: Attention | None = None
    pattern: Pattern | None = None
    window: int | None = None
    position: Position | None = None
    rope_base: float | None = None
    rope_factor: float | None = None
    mixer_kernel: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The shape and the choices of one decoder; `ModelConfig` completes and checks them."""

    vocab_size: int
    block: int = 256  # the longest context, in tokens
    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 0  # heads of keys and values: `heads` is multi-head, 1 is multi-query
    head_size: int = 0  # D, the numbers of one head
    hidden: int = 0  # inner width of the feed-forward
    conv_kernel: int = 1  # tokens whose embeddings are mixed into one; 1: only its own
    dropout: float = 0.1  # of the embedding and of what each branch adds; training only
    position: Position = "rope"
    pattern: Pattern = "full"
    window: int = 0  # tokens that a token sees back, itself included; of chunked, the chunk
    dilation: int = 0  # it sees every `dilation`-th of them
    global_tokens: int = 0  # the first tokens, this many, are seen by all
    random_blocks: int = 0  # BigBird's random links of a block, and …
    pattern_block: int = 0  # … the tokens of a block
    attention: Attention = "grouped"
    query_latent: int = 0  # width of the latent from which latent attention makes its queries, …
    kv_latent: int = 0  # … its keys and values, …
    rope_head: int = 0  # … and size of the key, shared by all heads, that carries the position
    feedforward: FeedForward = "swiglu"
    norm: Norm = "rms"
    placement: Placement = "pre"
    bias: bool = False  # in every linear layer and in LayerNorm
    qkv_bias: bool | None = None  # in the layer that makes queries, keys and values
    qk_norm: bool = False  # norm each head of queries and keys, as Qwen3 does
    tied: bool = True  # the head reuses the embedding
    rope_base: float = 10_000.0
    rope_factor: float = 1.0  # Llama 3's longer context: slow pairs turn slower by this factor
    rope_low: float = 1.0  # … those that turn less often than this in `rope_original` tokens
    rope_high: float = 4.0  # … and not those that turn more often than this
    rope_original: int = 8192  # the context that the model was first trained with
    relative_buckets: int = 32  # of distances: half of them one short distance each
    max_relative_distance: int = 128  # from here on all distances share a bucket
    norm_eps: float = 1e-5
    padding_id: int = 0  # embedding row used for padding; any will do
    laboratory: bool = False  # allows what teaches something, but is no way to train a decoder
    layer_types: tuple[LayerType, ...] = ()  # taken in turn by the layers; empty: all are alike
    mixer_kernel: int = 0  # tokens that attention short_conv mixes, the token itself included
    embedding_scale: float = 1.0  # what embeddings are multiplied by
    attention_scale: float = 0.0  # what scores are multiplied by; 0: 1 / √head_size

    @property
    def rotary(self) -> int:
        """How many numbers of a head are turned by position rope."""
        return self.rope_head or self.head_size


GATED = frozenset({"swiglu", "geglu_tanh"})  # feed-forwards with a second, multiplying input matrix

# Settings that only some choices use, and which; with any other choice they stay 0.
USED_BY: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "window": ("pattern", ("local", "dilated", "chunked", "global_local", "bigbird")),
    "dilation": ("pattern", ("dilated",)),
    "global_tokens": ("pattern", ("global_local", "bigbird")),
    "random_blocks": ("pattern", ("bigbird",)),
    "pattern_block": ("pattern", ("bigbird",)),
    "query_latent": ("attention", ("latent",)),
    "kv_latent": ("attention", ("latent",)),
    "rope_head": ("attention", ("latent",)),
    "mixer_kernel": ("attention", ("short_conv",)),
    "attention_scale": ("attention", ("grouped",)),
}


def is_used(config: Hyperparameters, name: str) -> bool:
    """Whether the choice that decides about the setting `name` uses it."""
    choice, users = USED_BY[name]
    return getattr(config, choice) in users


def _default_kv_heads(config: Hyperparameters) -> int:
    if config.attention == "latent":
        return config.heads
    return config.heads if config.heads % 2 else config.heads // 2


def _default_hidden(config: Hyperparameters) -> int:
    """4 C; with a gate 8/3 C, so that the size stays the same, in whole 64s for fast products."""
    if config.feedforward not in GATED:
        return 4 * config.width
    return -(-8 * config.width // (3 * 64)) * 64


def _default_rope_head(config: Hyperparameters) -> int:
    """Half a head, in whole pairs; nothing is turned unless the position is rope."""
    return max(config.head_size // 4, 1) * 2 if config.position == "rope" else 0


def _where_used(
    name: str, default: Callable[[Hyperparameters], int]
) -> Callable[[Hyperparameters], int]:
    return lambda config: default(config) if is_used(config, name) else 0


# What a setting that was left at 0 or None becomes, in this order.
DEFAULTS: Mapping[str, Callable[[Hyperparameters], int | bool]] = {
    "kv_heads": _default_kv_heads,
    "head_size": lambda c: c.width // c.heads,
    "hidden": _default_hidden,
    "qkv_bias": lambda c: c.qkv_bias is None and c.bias,
    "window": _where_used("window", lambda c: max(c.block // 4, 1)),
    "dilation": _where_used("dilation", lambda c: 2),
    "global_tokens": _where_used("global_tokens", lambda c: 1),
    "random_blocks": _where_used("random_blocks", lambda c: 3),
    "pattern_block": _where_used("pattern_block", lambda c: min(c.block, 64)),
    "query_latent": _where_used("query_latent", lambda c: max(c.width // 2, 1)),
    "kv_latent": _where_used("kv_latent", lambda c: 4 * c.head_size),
    "rope_head": _where_used("rope_head", _default_rope_head),
    "mixer_kernel": _where_used("mixer_kernel", lambda c: 3),
}
