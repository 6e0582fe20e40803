"""What is compared: each variant is a difference from one baseline, and a family asks one question.

The baseline is the decoder that the pipeline makes of little text, but for its short convolution,
which would hide what positions and attention do alone: `evolution` has it. Rows say only how a
variant differs; `budget.py` then fits the feed-forward, so that all have about as many parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformer.presets import settings_of

BASELINE: Mapping[str, Any] = {
    "block": 128,
    "width": 128,
    "layers": 4,
    "heads": 4,
    "kv_heads": 2,
    "dropout": 0.0,
}
LITTLE = 1 / 20  # of the training text, so that one pass over all of it is 20 over that
BRIEF = 1 / 20  # of a run's steps, to get used to pooled heads (Ainslie et al. 2023: 5 %)
GENTLE = 0.1  # of the rate, for a model that has learned already


@dataclass(frozen=True)
class Variant:
    """One way to build or train the decoder.

    `changes` are settings of `ModelConfig`. Within a family only variants of the same `group` are
    ranked against each other; the first of a group is what the others are compared with.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""
    optimizer: str = "muon"
    rate: float = 1.0  # times the learning rate that the pipeline picks for the width
    share: float = 1.0  # of the training text
    start: str = ""  # whose trained model it pools and goes on from: smaller, so never compared

    @property
    def is_about_positions(self) -> bool:
        """Whether it differs from the baseline in its position alone, or in nothing."""
        named = set(self.changes) <= {"position"}
        return named and (self.optimizer, self.rate, self.share) == ("muon", 1.0, 1.0)

    @property
    def label(self) -> str:
        """The name, with the group where there is one."""
        return f"{self.group}: {self.name}" if self.group else self.name


@dataclass(frozen=True)
class Family:
    """Variants that answer one question together; `passes` over the text at most."""

    name: str
    question: str
    variants: tuple[Variant, ...]
    passes: float = math.inf

    @property
    def groups(self) -> dict[str, list[Variant]]:
        """The variants that are ranked together, each group's baseline first."""
        found: dict[str, list[Variant]] = {}
        for variant in self.variants:
            found.setdefault(variant.group, []).append(variant)
        return found

    def __getitem__(self, name: str) -> Variant:
        return next(variant for variant in self.variants if variant.name == name)


def _each(setting: str, **values: Any) -> tuple[Variant, ...]:
    """A variant for each value of one setting."""
    return tuple(Variant(name, {setting: value}) for name, value in values.items())


def _wide(layers: int, width: int) -> dict[str, int]:
    return {"layers": layers, "width": width}


# So deep, and so wide that the feed-forward of the same budget stays about three times as wide.
DEPTHS = {1: 224, 3: 144, 4: 128, 6: 104, 12: 80, 24: 56}


def _placements(layers: int) -> tuple[Variant, ...]:
    shape, group = _wide(layers, DEPTHS[layers]), f"{layers} blocks"
    shape = {} if layers == BASELINE["layers"] else shape
    return (
        Variant("pre", shape, group),
        Variant("post", {**shape, "placement": "post"}, group),
    )


def _dropouts(group: str, share: float) -> tuple[Variant, ...]:
    return tuple(
        Variant(f"{dropout:g}", {"dropout": dropout} if dropout else {}, group, share=share)
        for dropout in (0.0, 0.1, 0.2)
    )


def _evolution(phase: int) -> Variant:
    """A step of the second course's model, at the laboratory's size: heads of 16 numbers as there,
    and latents of the same share of the width."""
    theirs = settings_of(f"evolution-{phase}")
    ours = {name: BASELINE[name] for name in ("block", "width", "layers")}
    scaled = {"heads": 8, "kv_heads": 8, "kv_latent": 32, "query_latent": 64}
    named = {k: v for k, v in theirs.items() if k != "vocab_size"}
    return Variant(f"phase {phase}", {**named, **ours, **scaled})


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "positions",
            "How should a token know where it is?",
            (
                Variant("rope"),
                *_each(
                    "position",
                    none="none",
                    learned="learned",
                    sinusoidal="sinusoidal",
                    relative="relative",
                ),
            ),
        ),
        Family(
            "attention",
            "How should tokens exchange information, and what does the cache cost?",
            (
                Variant("gqa"),
                *_each("kv_heads", mha=4, mqa=1),
                Variant("mha to gqa", {"kv_heads": 4}, rate=GENTLE, start="mha"),
                *_each(
                    "pattern",
                    local="local",
                    dilated="dilated",
                    chunked="chunked",
                    global_local="global_local",
                ),
                Variant(
                    "bigbird",
                    {"pattern": "bigbird", "global_tokens": 4, "pattern_block": 8},
                ),
                Variant("linear", {"attention": "linear"}),
                Variant("latent", {"attention": "latent", "kv_heads": 0, "kv_latent": 32}),
            ),
        ),
        Family(
            "activations",
            "What should the feed-forward bend with?",
            (
                Variant("swiglu"),
                *_each(
                    "feedforward",
                    relu="relu",
                    leaky_relu="leaky_relu",
                    silu="silu",
                    gelu="gelu",
                ),
            ),
        ),
        Family(
            "norms",
            "What should keep the scale?",
            (
                Variant("rms"),
                Variant("layer", {"norm": "layer"}),
                Variant("batch", {"norm": "batch", "laboratory": True}),
            ),
        ),
        Family(
            "placement",
            "Where should the norm stand, and does depth change that?",
            (*_placements(4), *_placements(12), *_placements(24)),
        ),
        Family(
            "dropout",
            "Does dropout help, and when?",
            (*_dropouts("one pass of much", 1.0), *_dropouts("many passes of little", LITTLE)),
            passes=1.0,
        ),
        Family(
            "evolution",
            "What do the courses' steps bring, and how does ours compare?",
            (
                Variant("ours"),
                Variant("ours, convolution", {"conv_kernel": 4}),
                *(_evolution(phase) for phase in range(5)),
            ),
        ),
        Family(
            "size",
            "How should one budget of parameters be shared out?",
            (
                Variant("4 blocks, width 128, 4 heads"),
                *(
                    Variant(f"{n} block{'s' if n > 1 else ''}", _wide(n, DEPTHS[n]))
                    for n in (1, 3, 6, 12)
                ),
                *(Variant(f"width {width}", {"width": width}) for width in (96, 160)),
                *(
                    Variant(f"{heads} head{'s' if heads > 1 else ''}", changes)
                    for heads, changes in (
                        (heads, {"heads": heads, "kv_heads": max(heads // 2, 1)})
                        for heads in (1, 2, 8)
                    )
                ),
            ),
        ),
        Family(
            "optimizer",
            "Who should change the weights?",
            (
                Variant("muon+adamw"),
                Variant("adamw", optimizer="adamw", rate=1 / 3),
                Variant("adafactor", optimizer="adafactor"),
                Variant("sgd", optimizer="sgd", rate=10.0),
            ),
        ),
        Family(
            "learning-rate",
            "How fast should it learn?",
            tuple(
                Variant(f"× {times:g}", rate=times) for times in (1.0, 0.125, 0.25, 0.5, 2.0, 4.0)
            ),
        ),
    )
}
