"""What the courses found, to be held against what is found here.

The second course of github.com/ImadSaddik/Train_Your_Language_Model_Course: one run each on
AtlaSet, one epoch, width 256, 4 blocks, block 1,024; last validation losses in nats per token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.experiments.ranking import Difference
from pipeline.experiments.results import Results


@dataclass(frozen=True)
class Claim:
    """That `better` did better than each of `others`, or (`close`) about as well."""

    group: str
    better: str
    others: Mapping[str, float]  # their losses there
    loss: float  # and its own
    close: bool = False
    there: str = ""  # what the courses had in its place, where that is not quite the same


CLAIMS: Mapping[str, tuple[Claim, ...]] = {
    "positions": (
        Claim(
            "",
            "rope",
            {"none": 4.843, "learned": 4.675, "sinusoidal": 4.866, "relative": 4.421},
            4.393,
        ),
    ),
    "attention": (
        Claim("", "latent", {"mha": 4.675}, 4.663, close=True),
        Claim("", "gqa", {"local": 4.642, "bigbird": 4.662}, 4.675, True, "full attention (mha)"),
        Claim("", "gqa", {"linear": 4.838}, 4.675, there="full attention (mha)"),
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


def compared(found: Results) -> Iterator[str]:
    """A sentence for each pair that the courses compared and that is known here."""
    for claim in CLAIMS.get(found.family.name, ()):
        names = {v.name: v for v in found.family.groups[claim.group]}
        for other, loss in claim.others.items():
            here = found.difference(names[claim.better], names[other])
            theirs = (
                f"{claim.there or _named(claim)} {claim.loss:.3f}, {other} {loss:.3f}"
                f"{' (about as good)' if claim.close else ''}"
            )
            yield f"There: {theirs}. Here: {_verdict(claim, other, here)}"


def _verdict(claim: Claim, other: str, here: Difference | None) -> str:
    if here is None:
        return "a run came to no end, so nothing can be said."
    size = f"{abs(here.gain):.3f} nats{here.threshold}"
    if here.word == "same":
        agrees = "the same" if claim.close else "**not confirmed**"
        return f"{agrees}: they cannot be told apart, {size}."
    order = f"{claim.better} is {here.word} than {other} by {size}"
    confirmed = not claim.close and here.word == "better"
    return f"{'the same' if confirmed else '**otherwise**'}: {order}."


def _named(claim: Claim) -> str:
    return f"{claim.group}, {claim.better}" if claim.group else claim.better
