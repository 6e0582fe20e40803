"""What a `ModelConfig` works out by itself, and what it refuses, with what to pick instead.

A rule is a condition and the words for when it does not hold. Neither this file nor config.py
imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformer.config import ModelConfig

Rule = tuple[Callable[["ModelConfig"], bool], Callable[["ModelConfig"], str]]

GATED = frozenset({"swiglu"})  # feed-forwards with a second, multiplying input matrix
SCORED = frozenset({"relative"})  # positions that add something to the attention scores

# Settings that only some choices use, and which: any other refuses them, as they would mislead.
USED_BY: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "window": ("pattern", ("local", "dilated", "chunked", "global_local", "bigbird")),
    "dilation": ("pattern", ("dilated",)),
    "global_tokens": ("pattern", ("global_local", "bigbird")),
    "random_blocks": ("pattern", ("bigbird",)),
    "pattern_block": ("pattern", ("bigbird",)),
    "query_latent": ("attention", ("latent",)),
    "kv_latent": ("attention", ("latent",)),
    "rope_head": ("attention", ("latent",)),
}


def either(choices: tuple[object, ...]) -> str:
    """The choices in words: a, b or c."""
    *others, last = (str(choice) for choice in choices)
    return f"{', '.join(others)} or {last}" if others else last


def _used(config: ModelConfig, name: str) -> bool:
    choice, users = USED_BY[name]
    return getattr(config, choice) in users


def _default_kv_heads(config: ModelConfig) -> int:
    if config.attention == "latent":
        return config.heads
    return config.heads if config.heads % 2 else config.heads // 2


def _default_hidden(config: ModelConfig) -> int:
    """4 C; with a gate 8/3 C, so that the size stays the same, in whole 64s for fast products."""
    if config.feedforward not in GATED:
        return 4 * config.width
    return -(-8 * config.width // (3 * 64)) * 64


def _default_rope_head(config: ModelConfig) -> int:
    """Half a head, in whole pairs; nothing is turned unless the position is rope."""
    return max(config.head_size // 4, 1) * 2 if config.position == "rope" else 0


def _where_used(name: str, derived: Callable[[ModelConfig], int]) -> Callable[[ModelConfig], int]:
    return lambda config: derived(config) if _used(config, name) else 0


DERIVED: Mapping[str, Callable[[ModelConfig], int | bool]] = {
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
}


def _at_least(least: int, *names: str) -> tuple[Rule, ...]:
    return tuple(
        (
            lambda c, name=name: getattr(c, name) >= least,
            lambda c, name=name: f"{name} {getattr(c, name)} is too small: pick {least} or more",
        )
        for name in names
    )


def _nearest_divisor(number: int, wanted: int) -> int:
    return min((n for n in range(1, number + 1) if number % n == 0), key=lambda n: abs(n - wanted))


def _nearest_multiple(number: int, of: int) -> int:
    return max(round(number / of), 1) * of


RANGES: tuple[Rule, ...] = (
    *_at_least(1, "vocab_size", "block", "width", "layers", "heads"),
    *_at_least(1, "conv_kernel", "rope_original"),
    *_at_least(2, "relative_buckets"),
    *_at_least(0, "kv_heads", "head_size", "hidden", *USED_BY),
    (
        lambda c: c.head_size > 0 or c.width % c.heads == 0,
        lambda c: (
            f"width {c.width} cannot be shared by heads {c.heads}: pick width "
            f"{_nearest_multiple(c.width, c.heads)}, heads {_nearest_divisor(c.width, c.heads)} "
            "or a head_size"
        ),
    ),
    (
        lambda c: 0 <= c.dropout < 1,
        lambda c: f"dropout {c.dropout} is no share: pick 0 or more, and less than 1",
    ),
    (
        lambda c: 0 < c.rope_base < float("inf"),
        lambda c: f"rope_base {c.rope_base} must be above 0: 10000 is usual",
    ),
    (
        lambda c: 0 < c.norm_eps < 1,
        lambda c: f"norm_eps {c.norm_eps} must lie between 0 and 1: 1e-5 is usual",
    ),
    (
        lambda c: 1 <= c.rope_factor < float("inf"),
        lambda c: f"rope_factor {c.rope_factor} must be 1 or more: 1 changes nothing",
    ),
    (
        lambda c: 0 < c.rope_low < c.rope_high < float("inf"),
        lambda c: (
            f"rope_low {c.rope_low} and rope_high {c.rope_high} must be above 0 and in this order: "
            "1 and 4 are Llama 3's"
        ),
    ),
    (
        lambda c: c.max_relative_distance > c.relative_buckets // 2,
        lambda c: (
            f"max_relative_distance {c.max_relative_distance} leaves half of relative_buckets "
            f"{c.relative_buckets} without a distance: pick {c.relative_buckets // 2 + 1} or more"
        ),
    ),
    (
        lambda c: 0 <= c.padding_id < c.vocab_size,
        lambda c: (
            f"padding_id {c.padding_id} is outside vocab_size {c.vocab_size}: "
            f"pick 0 to {c.vocab_size - 1}"
        ),
    ),
)


def _used_or_left_out(name: str) -> Rule:
    choice, users = USED_BY[name]
    return (
        lambda c: _used(c, name) or not getattr(c, name),
        lambda c: (
            f"{name} {getattr(c, name)} means nothing with {choice} {getattr(c, choice)}: "
            f"pick {name} 0, or {choice} {either(users)}"
        ),
    )


RULES: tuple[Rule, ...] = (
    *(_used_or_left_out(name) for name in USED_BY),
    (
        lambda c: c.attention != "linear" or c.pattern == "full",
        lambda c: (
            f"attention linear keeps one sum of the whole past and cannot leave out what pattern "
            f"{c.pattern} hides: pick pattern full or attention grouped"
        ),
    ),
    (
        lambda c: c.attention != "linear" or c.position not in SCORED,
        lambda c: (
            f"attention linear has no scores that position {c.position} could add to: "
            "pick position rope or attention grouped"
        ),
    ),
    (
        lambda c: c.attention != "latent" or c.kv_heads == c.heads,
        lambda c: (
            f"attention latent makes keys and values of every head from one latent, so kv_heads "
            f"{c.kv_heads} cannot differ from heads {c.heads}: pick kv_heads {c.heads}, "
            "or attention grouped"
        ),
    ),
    (
        lambda c: c.attention != "latent" or not c.qk_norm,
        lambda c: (
            "attention latent norms its latents, and qk_norm would need the keys that it does not "
            "keep: pick qk_norm false, or attention grouped"
        ),
    ),
    (
        lambda c: c.rope_head == 0 or c.position == "rope",
        lambda c: (
            f"rope_head {c.rope_head} is turned by position rope alone, not by {c.position}: "
            "pick rope_head 0 or position rope"
        ),
    ),
    (
        lambda c: c.rope_head % 2 == 0,
        lambda c: (
            f"position rope turns pairs, but rope_head {c.rope_head} is odd: "
            f"pick rope_head {c.rope_head + 1}"
        ),
    ),
    (
        lambda c: c.heads % c.kv_heads == 0,
        lambda c: (
            f"heads {c.heads} cannot be grouped over kv_heads {c.kv_heads}: pick kv_heads "
            f"{_nearest_divisor(c.heads, c.kv_heads)}"
        ),
    ),
    (
        lambda c: c.position != "rope" or c.rotary % 2 == 0,
        lambda c: (
            f"position rope turns pairs, but head_size {c.head_size} (width over heads, where it "
            f"is not set) is odd: pick head_size {c.head_size + 1} or another position"
        ),
    ),
    (
        lambda c: c.position != "sinusoidal" or c.width % 2 == 0,
        lambda c: (
            f"position sinusoidal needs pairs, but width {c.width} is odd: "
            f"pick width {c.width + 1} or another position"
        ),
    ),
    (
        lambda c: c.norm != "batch" or c.laboratory,
        lambda c: (
            "norm batch lets every token of a batch see all others in training, later ones and "
            "other rows' too, and padding spoils its statistics (in evaluation they are fixed): "
            "pick norm layer or rms, or laboratory true to study it"
        ),
    ),
)
