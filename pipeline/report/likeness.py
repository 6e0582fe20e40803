"""The scores of stage 8 in words: what each means, which way is good, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.evaluation.scores import way

Score = Mapping[str, Any]
Scores = Mapping[str, Score]

LIKE = "like the person"


@dataclass(frozen=True)
class Metric:
    """One score. Good is a high one, a low one, or one near the person's own."""

    name: str
    label: str
    good: Literal["high", "low", "near"] = "low"
    percent: bool = False

    def show(self, number: float | None) -> str:
        if number is None:
            return ""
        return f"{100 * number:.1f} %" if self.percent else f"{number:.3g}"

    def value(self, score: Score) -> str:
        """As `2.79 [2.71–2.86]`; a dash where it was not measured."""
        if score["value"] is None or score["low"] is None:
            return self.show(score["value"]) or "–"
        low, high = self.show(score["low"]).removesuffix(" %"), self.show(score["high"])
        to = " to " if score["low"] < 0 else "–"
        return f"{self.show(score['value'])} [{low}{to}{high}]"


@dataclass(frozen=True)
class Group:
    """Metrics that answer one question; `meaning` is a sentence for somebody who never saw them."""

    title: str
    meaning: str
    metrics: tuple[Metric, ...]


GROUPS = (
    Group(
        "Who wrote it?",
        "A classifier that knows everyone in the chat guesses from spelling and wording whether "
        "the person wrote the made replies; higher is better, and the ceiling is the person.",
        (Metric("attribution", "log-odds of the person", "high"),),
    ),
    Group(
        "Prediction",
        "How many bits the model needs for what the person really answered; lower is better.",
        (
            Metric("bits_per_byte", "bits per byte"),
            Metric("loss", "loss, nats per token"),
            Metric("language_bits_per_byte", "everybody's text, bits per byte"),
        ),
    ),
    Group(
        "Fit to the conversation",
        "Whether the model finds the reply that was really given among others; higher is better, "
        "and the floor is guessing.",
        (
            Metric("ranked_first", "ranked first", "high", percent=True),
            Metric("mean_reciprocal_rank", "mean reciprocal rank", "high"),
        ),
    ),
    Group(
        "Habits",
        "How far each habit is from the person's, from 0 (the same) to 1 (nothing in common); "
        "lower is better, and the ceiling is what chance leaves.",
        (
            Metric("length_distance", "length of a reply"),
            Metric("burst_distance", "messages a reply"),
            Metric("emoji_distance", "emoji a message"),
            Metric("punctuation_distance", "how messages end"),
            Metric("capitals_distance", "capital letters"),
            Metric("openings_distance", "first words"),
            Metric("scripts_distance", "scripts"),
        ),
    ),
    Group(
        "Diversity",
        "How much the replies repeat themselves; good is what the person does (the ceiling), "
        "neither less nor more.",
        (
            Metric("distinct_1", "different words", "near", percent=True),
            Metric("distinct_2", "different pairs of words", "near", percent=True),
            Metric("distinct_3", "different runs of three", "near", percent=True),
            Metric("same_replies", "replies given twice", "near", percent=True),
            Metric("loops", "replies in a loop", percent=True),
        ),
    ),
    Group(
        "Privacy",
        "What came out word for word from the training text, and addresses or numbers in the "
        "replies; lower is better, and the ceiling is how much the person repeats.",
        (
            Metric("copied_replies", "replies with a copy", percent=True),
            Metric("copied_text", "text that is copied", percent=True),
            Metric("personal_data", "pieces of personal data"),
        ),
    ),
)


def groups(scores: Scores) -> Iterator[Group]:
    """Those of which there are scores, with only these; what no group knows comes last."""
    known = {metric.name for group in GROUPS for metric in group.metrics}
    rest = tuple(Metric(name, name.replace("_", " ")) for name in scores if name not in known)
    for group in (*GROUPS, Group("Other", "Further scores.", rest)):
        metrics = tuple(metric for metric in group.metrics if metric.name in scores)
        if metrics:
            yield Group(group.title, group.meaning, metrics)


def progress(metric: Metric, score: Score) -> float | None:
    """How far from floor (0) to ceiling (1).

    None where one of them is missing, the floor is as good as the ceiling, or they are closer to
    each other than the interval is wide.
    """
    value, floor, ceiling = score["value"], score["floor"], score["ceiling"]
    if None in (value, floor, ceiling) or not _beats(metric, ceiling, floor):
        return None
    worst, best = _ends(metric, score)
    return way(value, floor, ceiling) if abs(best - worst) < abs(ceiling - floor) else None


def verdict(metric: Metric, score: Score) -> str:
    """In words, "" where there is nothing to compare with."""
    if score["value"] is None:
        return "not measured"
    if metric.good == "near":
        return _beside(metric, score)
    return _between(metric, score, progress(metric, score))


def _beside(metric: Metric, score: Score) -> str:
    """Where neither more nor less is good."""
    if score["ceiling"] is None:
        return ""
    worst, best = sorted(_ends(metric, score))
    if worst <= score["ceiling"] <= best:
        return LIKE
    return "less than the person" if best < score["ceiling"] else "more than the person"


def _between(metric: Metric, score: Score, share: float | None) -> str:
    floor, ceiling = score["floor"], score["ceiling"]
    worst, best = _ends(metric, score)
    if floor is not None and _beats(metric, floor, best):
        return "worse than the floor"
    if floor is not None and ceiling is not None and share is None:
        return "cannot be told: floor and ceiling are too close"
    if floor is not None and not _beats(metric, worst, floor):
        return "not told from the floor"
    if ceiling is not None and not _beats(metric, ceiling, best):
        return LIKE
    if floor is not None:
        return "better than the floor" + (
            "" if share is None else f", {100 * share:.0f} % of the way"
        )
    return "" if ceiling is None else "worse than the ceiling"


def _ends(metric: Metric, score: Score) -> tuple[float, float]:
    """The worse and the better end of the interval."""
    ends = [score["value"] if score[end] is None else score[end] for end in ("low", "high")]
    return (ends[0], ends[1]) if metric.good == "high" else (ends[1], ends[0])


def _beats(metric: Metric, one: float, other: float) -> bool:
    return one > other if metric.good == "high" else one < other


COLUMNS = ("metric", "value [low–high]", "floor", "ceiling", "verdict")


def table(scores: Scores) -> str:
    """All scores, group by group: Markdown that is as readable in a terminal."""
    return "\n\n".join(
        f"## {group.title}\n\n{group.meaning}\n\n" + _grid([COLUMNS, *_rows(group, scores)])
        for group in groups(scores)
    )


def _rows(group: Group, scores: Scores) -> Iterator[tuple[str, ...]]:
    for metric in group.metrics:
        score = scores[metric.name]
        references = (metric.show(score[name]) or "–" for name in ("floor", "ceiling"))
        said = verdict(metric, score)
        if score["value"] is None and score["note"]:
            said = score["note"]
        yield metric.label, metric.value(score), *references, said


def _grid(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
