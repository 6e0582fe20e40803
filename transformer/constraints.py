"""What a decoder cannot be, with what to pick instead: each rule is a condition and its advice."""

from __future__ import annotations

from collections.abc import Callable

from transformer.hyperparameters import USED_BY, Hyperparameters, is_used

Condition = Callable[[Hyperparameters], bool]
Advice = Callable[[Hyperparameters], str]
Rule = tuple[Condition, Advice]  # a condition that must hold, and the words for when it does not


def first_violation(config: Hyperparameters, rules: tuple[Rule, ...]) -> str | None:
    """The advice of the first rule that does not hold, or None."""
    return next((advice(config) for holds, advice in rules if not holds(config)), None)


def either(choices: tuple[object, ...]) -> str:
    """The choices in words: a, b or c."""
    *others, last = (str(choice) for choice in choices)
    return f"{', '.join(others)} or {last}" if others else last


def _at_least(minimum: int, *names: str) -> tuple[Rule, ...]:
    return tuple(
        (
            lambda c, name=name: getattr(c, name) >= minimum,
            lambda c, name=name: f"{name} {getattr(c, name)} is too small: pick {minimum} or more",
        )
        for name in names
    )


def _nearest_divisor(number: int, target: int) -> int:
    return min((n for n in range(1, number + 1) if number % n == 0), key=lambda n: abs(n - target))


def _nearest_multiple(number: int, of: int) -> int:
    return max(round(number / of), 1) * of


def _may_stand_in_a_layer(position: str | None, config: Hyperparameters) -> bool:
    return position in (None, "rope", "none", config.position)


# What must hold before the settings left open are filled in …
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
        lambda c: 0 < c.embedding_scale < float("inf"),
        lambda c: f"embedding_scale {c.embedding_scale} must be above 0: 1 changes nothing",
    ),
    (
        lambda c: c.attention_scale < float("inf"),
        lambda c: (
            f"attention_scale {c.attention_scale} must be finite: 0 stands for 1 / √head_size"
        ),
    ),
    (
        lambda c: len(c.layer_types) <= c.layers,
        lambda c: (
            f"layer_types has {len(c.layer_types)} entries for layers {c.layers}: pick no more "
            "than there are layers, which take them in turn"
        ),
    ),
    (
        lambda c: all(_may_stand_in_a_layer(t.position, c) for t in c.layer_types),
        lambda c: (
            "learned, sinusoidal and relative positions belong to the whole model, but layer_types "
            f"asks for another than position {c.position}: pick rope or none in layer_types"
        ),
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
        lambda c: is_used(c, name) or not getattr(c, name),
        lambda c: (
            f"{name} {getattr(c, name)} means nothing with {choice} {getattr(c, choice)}: "
            f"pick {name} 0, or {choice} {either(users)}"
        ),
    )


# … and after.
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
        lambda c: c.attention != "linear" or c.position != "relative",
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
        lambda c: c.attention != "short_conv" or c.pattern == "full",
        lambda c: (
            f"attention short_conv sees mixer_kernel tokens and nothing that pattern {c.pattern} "
            "could hide: pick pattern full, or attention grouped"
        ),
    ),
    (
        lambda c: c.attention != "short_conv" or c.position not in ("rope", "relative"),
        lambda c: (
            f"attention short_conv has no queries and keys that position {c.position} could act "
            "on: pick position none, or attention grouped"
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
