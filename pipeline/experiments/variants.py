"""What is compared: each variant is a difference from one baseline, and a family asks one question.

The baseline is the decoder that the pipeline builds for a small corpus, but without its short
convolution, which would hide the effect of positions and attention: `evolution` has it. Rows state
only how a variant differs; `trial.py` adjusts the feed-forward so that all have the same size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from transformer.presets import row

BASELINE: Mapping[str, int | float] = {
    "block": 128,
    "width": 128,
    "layers": 4,
    "heads": 4,
    "kv_heads": 2,
    "dropout": 0.0,
}
SMALL_SHARE = 1 / 20  # of the text: one epoch's steps over all of it are 20 epochs over this
UPTRAINING = 1 / 20  # of a run's steps, to adapt to pooled heads (Ainslie et al. 2023: 5 %)
UPTRAINING_LR = 0.1  # times the learning rate, for a model that is trained already


@dataclass(frozen=True)
class Variant:
    """One way to build or train the decoder.

    `changes` are settings of `ModelConfig`. Within a family only variants of the same `group` are
    ranked against each other, and the first of a group is its baseline.
    """

    name: str
    changes: Mapping[str, object] = field(default_factory=dict)
    group: str = ""
    optimizer: str = "muon"
    lr_scale: float = 1.0  # times the learning rate that the pipeline picks for the width
    text_share: float = 1.0  # of the training text
    pooled_from: str = ""  # whose trained model it pools and continues; smaller, so never compared

    @property
    def is_about_positions(self) -> bool:
        """Whether it differs from the baseline in its position only, or not at all."""
        usual = (self.optimizer, self.lr_scale, self.text_share) == ("muon", 1.0, 1.0)
        return usual and set(self.changes) <= {"position"}

    @property
    def label(self) -> str:
        """The name, with the group where there is one."""
        return f"{self.group}: {self.name}" if self.group else self.name


@dataclass(frozen=True)
class Family:
    """Variants that together answer one question, trained for `epochs` at most."""

    name: str
    question: str
    variants: tuple[Variant, ...]
    epochs: float = math.inf

    @property
    def groups(self) -> dict[str, list[Variant]]:
        """The variants that are ranked together, each group's baseline first."""
        groups: dict[str, list[Variant]] = {}
        for variant in self.variants:
            groups.setdefault(variant.group, []).append(variant)
        return groups

    def baseline(self, variant: Variant) -> Variant:
        """What a variant is compared with."""
        return self.groups[variant.group][0]

    def __getitem__(self, name: str) -> Variant:
        return next(variant for variant in self.variants if variant.name == name)


def _each(setting: str, *values: str) -> tuple[Variant, ...]:
    """A variant for each value of one setting."""
    return tuple(Variant(value, {setting: value}) for value in values)


# Depth → a width at which the feed-forward of the same budget stays about three times as wide.
DEPTHS = {1: 224, 3: 144, 4: 128, 6: 104, 12: 80, 24: 56}


def _deep(layers: int) -> dict[str, object]:
    is_baseline = layers == BASELINE["layers"]
    return {} if is_baseline else {"layers": layers, "width": DEPTHS[layers]}


def _placements(layers: int) -> tuple[Variant, ...]:
    shape, group = _deep(layers), f"{layers} blocks"
    return Variant("pre", shape, group), Variant("post", {**shape, "placement": "post"}, group)


def _dropouts(group: str, text_share: float) -> tuple[Variant, ...]:
    return tuple(
        Variant(f"{p:g}", {"dropout": p} if p else {}, group, text_share=text_share)
        for p in (0.0, 0.1, 0.2)
    )


def _evolution(phase: int) -> Variant:
    """A step of the second course's model at the laboratory's size, with heads of 16 numbers as
    there, and latents of the same share of the width."""
    theirs = {k: v for k, v in row(f"evolution-{phase}").items() if k != "vocab_size"}
    ours = {name: BASELINE[name] for name in ("block", "width", "layers")}
    scaled = {"heads": 8, "kv_heads": 8, "kv_latent": 32, "query_latent": 64}
    return Variant(f"phase {phase}", {**theirs, **ours, **scaled})


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count > 1)}"


_FAMILIES = (
    Family(
        "positions",
        "How should a token know where it is?",
        (Variant("rope"), *_each("position", "none", "learned", "sinusoidal", "relative")),
    ),
    Family(
        "attention",
        "How should tokens exchange information, and what does the cache cost?",
        (
            Variant("gqa"),
            Variant("mha", {"kv_heads": 4}),
            Variant("mqa", {"kv_heads": 1}),
            Variant("mha to gqa", {"kv_heads": 4}, lr_scale=UPTRAINING_LR, pooled_from="mha"),
            *_each("pattern", "local", "dilated", "chunked", "global_local"),
            Variant("bigbird", {"pattern": "bigbird", "global_tokens": 4, "pattern_block": 8}),
            Variant("linear", {"attention": "linear"}),
            Variant("latent", {"attention": "latent", "kv_heads": 0, "kv_latent": 32}),
        ),
    ),
    Family(
        "activations",
        "Which activation should the feed-forward use?",
        (Variant("swiglu"), *_each("feedforward", "relu", "leaky_relu", "silu", "gelu")),
    ),
    Family(
        "norms",
        "Which norm should be used?",
        (
            Variant("rms"),
            Variant("layer", {"norm": "layer"}),
            Variant("batch", {"norm": "batch", "laboratory": True}),
        ),
    ),
    Family(
        "placement",
        "Should the norm come before or after the branches, and does depth change that?",
        (*_placements(4), *_placements(12), *_placements(24)),
    ),
    Family(
        "dropout",
        "Does dropout help, and when?",
        (*_dropouts("one pass of much", 1.0), *_dropouts("many passes of little", SMALL_SHARE)),
        epochs=1.0,
    ),
    Family(
        "evolution",
        "What do the courses' steps bring, and how does our decoder compare?",
        (
            Variant("ours"),
            Variant("ours, convolution", {"conv_kernel": 4}),
            *(_evolution(phase) for phase in range(5)),
        ),
    ),
    Family(
        "size",
        "How should a budget of parameters be spent?",
        (
            Variant("4 blocks, width 128, 4 heads"),
            *(Variant(_plural(n, "block"), _deep(n)) for n in (1, 3, 6, 12)),
            *(Variant(f"width {width}", {"width": width}) for width in (96, 160)),
            *(
                Variant(_plural(n, "head"), {"heads": n, "kv_heads": max(n // 2, 1)})
                for n in (1, 2, 8)
            ),
        ),
    ),
    Family(
        "optimizer",
        "Which optimizer should update the weights?",
        (
            Variant("muon+adamw"),
            Variant("adamw", optimizer="adamw", lr_scale=1 / 3),
            Variant("adafactor", optimizer="adafactor"),
            Variant("sgd", optimizer="sgd", lr_scale=10.0),
        ),
    ),
    Family(
        "learning-rate",
        "How high should the learning rate be?",
        tuple(Variant(f"× {n:g}", lr_scale=n) for n in (1.0, 0.125, 0.25, 0.5, 2.0, 4.0)),
    ),
)
FAMILIES: Mapping[str, Family] = {family.name: family for family in _FAMILIES}
