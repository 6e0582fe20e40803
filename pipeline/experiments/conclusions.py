"""What may be concluded, in sentences, and the page that holds them with tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.common.files import atomic
from pipeline.experiments import claims
from pipeline.experiments.families import Variant
from pipeline.experiments.ranking import Difference
from pipeline.experiments.results import Results
from pipeline.experiments.table import markdown

Told = list[tuple[Variant, Difference]]


def sentences(found: Results) -> Iterator[str]:
    """All that can be said of a family, group by group."""
    for group, variants in found.family.groups.items():
        prefix = f"{group}: " if group else ""
        for sentence in _of_group(found, group, variants):
            yield prefix + sentence
    yield from _beside_the_loss(found)


def _of_group(found: Results, group: str, variants: Sequence[Variant]) -> Iterator[str]:
    baseline = variants[0]
    told = [(v, d) for v in variants if (d := found.difference_to_baseline(v)) is not None]
    yield _spread(found, group)
    for word in ("better", "worse"):
        for variant, difference in told:
            if difference.word == word:
                yield (
                    f"**{variant.name}** is {word} than {baseline.name} by "
                    f"{abs(difference.gain):.3f} nats a token{difference.threshold}."
                )
    yield from _not_told_apart(told, baseline)
    yield from _among_the_best(found, told)


def _spread(found: Results, group: str) -> str:
    spread = found.spread(group)
    if spread is None:
        return "No variant ran with several seeds, so no difference can be told from luck."
    return (
        f"Seeds differ by a standard deviation of {spread.deviation:.4f} nats a token (pooled, "
        f"{spread.freedom} degrees of freedom). A difference counts from {spread.least(3, 3):.3f} "
        f"on between three runs each, from {spread.least(1, 3):.3f} on where one side has one run."
    )


def _not_told_apart(told: Told, baseline: Variant) -> Iterator[str]:
    same = [(v, d) for v, d in told if d.word == "same"]
    if same:
        each = ", ".join(f"{v.name} {d.signed}{d.threshold}" for v, d in same)
        yield f"Not to be told apart from {baseline.name}: {each}."


def _among_the_best(found: Results, told: Told) -> Iterator[str]:
    """Of the two that ran with all seeds: is one better than the other?"""
    repeated = [v for v, _ in told if len(found[v].losses) > 1]
    if len(repeated) < 2:
        return
    one, other = sorted(repeated, key=lambda v: found[v].mean("val_loss") or 0.0)[:2]
    difference = found.difference(one, other)
    if difference is None:
        return
    size = f"{difference.gain:.3f} nats a token{difference.threshold}"
    if difference.counts:
        better = f"{one.name} is better than {other.name}"
        yield f"Of the two that ran with all seeds, {better} by {size}."
    else:
        yield f"{one.name} and {other.name} cannot be told apart: {size}."


def _beside_the_loss(found: Results) -> Iterator[str]:
    """What came to no end, went astray, was refused, or began from another."""
    for outcome in found.outcomes.values():
        label, longer = outcome.variant.label, outcome.longer(2)
        if outcome.failed:
            yield f"**{label}** came to no end. {outcome.failed}."
        if outcome.setbacks:
            yield f"{label} went astray {outcome.setbacks} times and went on with half the rate."
        if longer and "refused" in longer:
            yield f"{label} is refused beyond the training length: {longer['refused']}."
        if (before := outcome.first("before")) is not None:
            yield (
                f"{label}: the heads of {outcome.variant.start} pooled, {before:.3f} at once and "
                f"{outcome.first('val_loss'):.3f} after more tokens. It is smaller than the others "
                "and learned for longer, so it is not compared with them."
            )


def write_page(
    path: Path, studied: Sequence[Results], facts: str, pictures: Sequence[Path]
) -> None:
    """Everything that was found, as Markdown; pictures lie beside it."""
    with atomic(path) as file:
        file.write(f"{facts}\n")
        for found in studied:
            file.write(f"\n## {found.family.name}\n\n{found.family.question}\n\n")
            file.write(f"{markdown(found)}\n\n")
            file.writelines(f"- {sentence}\n" for sentence in sentences(found))
            file.writelines(f"- Beside the courses. {line}\n" for line in claims.compared(found))
            own = [p for p in pictures if p.name.startswith(f"{found.family.name}-")]
            file.writelines(f"\n![{picture.stem}]({picture.name})\n" for picture in own)
