"""From a row of the table to a run: its size fitted, its rate worked out."""

from __future__ import annotations

from pipeline.experiments.budget import fitted
from pipeline.experiments.families import BASELINE, Family, Variant
from pipeline.experiments.text import Text
from pipeline.experiments.trial import ROWS, SEEDS, Trial
from pipeline.training import auto

MOST = 1 << 24  # steps, where nothing else limits them


def trial(family: Family, variant: Variant, text: Text, steps: int, seed: int) -> Trial:
    """The run of a variant, of so many steps or as many as the family's passes allow."""
    config = fitted(variant, text.vocabulary)
    rate = auto.learning_rate("auto", config.width) * variant.rate
    if variant.start:
        begun = trial(family, family[variant.start], text, steps, seed)
        return begun.pooled(BASELINE["kv_heads"], rate)
    return Trial(
        text,
        config,
        steps=min(steps, most_steps(family, text)),
        seed=seed,
        rate=rate,
        optimizer=variant.optimizer,
        share=variant.share,
        stretches=variant.is_about_positions,
        times=seed == SEEDS[0],
    )


def most_steps(family: Family, text: Text) -> int:
    """The steps of the family's passes over the text, at most."""
    samples = (text.tokens[0] - 1) // BASELINE["block"]
    return max(1, int(min(family.passes * samples / ROWS, MOST)))
