"""What may be concluded, in sentences, and how it compares with what the courses found.

The courses: the second one of github.com/ImadSaddik/Train_Your_Language_Model_Course, one run each
on AtlaSet, one epoch, width 256, 4 blocks, block 1,024; final validation losses in nats per token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.experiments.results import Difference, Results
from pipeline.experiments.variants import Variant


@dataclass(frozen=True)
class Claim:
    """That `better` did better than each of `others`, or (`close`) about as well."""

    group: str
    better: str
    others: Mapping[str, float]  # their losses there
    loss: float  # and its own
    close: bool = False
    there: str = ""  # what the courses had in its place, where that is not quite the same

    @property
    def name_there(self) -> str:
        return self.there or (f"{self.group}, {self.better}" if self.group else self.better)


POSITIONS = {"none": 4.843, "learned": 4.675, "sinusoidal": 4.866, "relative": 4.421}
FULL = "full attention (mha)"
CLAIMS: Mapping[str, tuple[Claim, ...]] = {
    "positions": (Claim("", "rope", POSITIONS, 4.393),),
    "attention": (
        Claim("", "latent", {"mha": 4.675}, 4.663, close=True),
        Claim("", "gqa", {"local": 4.642, "bigbird": 4.662}, 4.675, close=True, there=FULL),
        Claim("", "gqa", {"linear": 4.838}, 4.675, there=FULL),
    ),
    "activations": (Claim("", "swiglu", {"relu": 4.663, "gelu": 4.721}, 4.633),),
    "norms": (Claim("", "layer", {"rms": 4.638}, 4.633),),
    "placement": (Claim("4 blocks", "post", {"pre": 4.638}, 4.563),),
    "dropout": (Claim("one pass of much", "0", {"0.2": 4.563}, 4.493),),
    "evolution": (
        Claim("", "phase 1", {"phase 0": 4.663}, 4.428),
        Claim("", "phase 2", {"phase 1": 4.428}, 4.394),
        Claim("", "phase 3", {"phase 2": 4.394}, 4.324),
        Claim("", "phase 4", {"phase 3": 4.324}, 4.289),
    ),
}


def conclusions(results: Results) -> Iterator[str]:
    """Everything that can be said of a family, as Markdown sentences."""
    for group, variants in results.family.groups.items():
        prefix = f"{group}: " if group else ""
        for sentence in _about_group(results, group, variants):
            yield prefix + sentence
    for outcome in results.outcomes.values():
        yield from _about_variant(outcome.variant, results)
    for claim in CLAIMS.get(results.family.name, ()):
        yield from _compared_with_course(claim, results)


def _about_group(results: Results, group: str, variants: list[Variant]) -> Iterator[str]:
    baseline = variants[0].name
    spread = results.spread(group)
    if spread is None:
        yield "No variant ran with several seeds, so no difference can be told from chance."
    else:
        yield (
            f"Across seeds the loss has a standard deviation of {spread.deviation:.4f} nats per "
            f"token (pooled, {spread.freedom} degrees of freedom). A difference is significant "
            f"from {spread.threshold(3, 3):.3f} between three runs each, from "
            f"{spread.threshold(1, 3):.3f} where one side has a single run."
        )
    compared = [(v, d) for v in variants if (d := results.difference_to_baseline(v)) is not None]
    for word in ("better", "worse"):
        for variant, difference in compared:
            if difference.word == word:
                size = f"{abs(difference.gain):.3f} nats per token{difference.note}"
                yield f"**{variant.name}** is {word} than {baseline} by {size}."
    same = [f"{v.name} {d.added_loss}{d.note}" for v, d in compared if d.word == "same"]
    if same:
        yield f"No significant difference from {baseline}: {', '.join(same)}."
    yield from _best_two([v for v, _ in compared if len(results[v].losses) > 1], results)


def _best_two(repeated: list[Variant], results: Results) -> Iterator[str]:
    """Of the two that ran with all seeds: is one better than the other?"""
    best = sorted(repeated, key=lambda v: results[v].mean("val_loss") or 0.0)[:2]
    difference = results.difference(*best) if len(best) == 2 else None
    if difference is not None:
        one, other = (variant.name for variant in best)
        size = f"{difference.gain:.3f} nats per token{difference.note}"
        if difference.word == "same":
            yield f"No significant difference between {one} and {other}: {size}."
        else:
            yield f"Of the two that ran with all seeds, {one} is better than {other} by {size}."


def _about_variant(variant: Variant, results: Results) -> Iterator[str]:
    """What failed, diverged, is impossible, or started from another run."""
    outcome, label = results[variant], variant.label
    if outcome.failed:
        yield f"**{label}** did not finish. {outcome.failed}."
    if setbacks := sum(outcome.values("setbacks")):
        yield f"{label} diverged {setbacks:.0f} times and continued with half the learning rate."
    if isinstance(reason := outcome.longer(2), str):
        yield f"{label} cannot be used beyond the training length: {reason}."
    if (before := outcome.first.get("before")) is not None:
        yield (
            f"{label}: the heads of {variant.pooled_from}, pooled: {before:.3f} at once and "
            f"{outcome.first['val_loss']:.3f} after more training. It is smaller than the others "
            "and trained for longer, so it is not compared with them."
        )


def _compared_with_course(claim: Claim, results: Results) -> Iterator[str]:
    """A sentence for each pair that the courses compared."""
    variants = {v.name: v for v in results.family.groups[claim.group]}
    for other, loss in claim.others.items():
        here = results.difference(variants[claim.better], variants[other])
        there = f"{claim.name_there} {claim.loss:.3f}, {other} {loss:.3f}"
        if claim.close:
            there += " (about as good)"
        yield f"In the courses: {there}. Here: {_verdict(claim, other, here)}."


def _verdict(claim: Claim, other: str, here: Difference | None) -> str:
    if here is None:
        return "a run did not finish, so nothing can be said"
    size = f"{abs(here.gain):.3f} nats{here.note}"
    if here.word == "same":
        confirmed = "confirmed" if claim.close else "**not confirmed**"
        return f"{confirmed}, no significant difference, {size}"
    confirmed = "confirmed" if here.word == "better" and not claim.close else "**contradicted**"
    return f"{confirmed}, {claim.better} is {here.word} than {other} by {size}"
