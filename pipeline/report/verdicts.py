"""The scores of stage 8 in words: a verdict on each, and a table of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.evaluation.intervals import Score, Scores, progress
from pipeline.report.metrics import GROUPS, Group, Metric

LIKE = "like the person"
BEYOND = "beyond the person: nearer to what was learned than new replies are"
CLOSE = "undecided: floor and ceiling are too close"


def groups(scores: Scores) -> Iterator[Group]:
    """The groups with the metrics that have scores; unknown metrics come last."""
    known = {metric.name for group in GROUPS for metric in group.metrics}
    rest = tuple(Metric(name, name.replace("_", " ")) for name in scores if name not in known)
    for group in (*GROUPS, Group("Other", "Further scores.", rest)):
        metrics = tuple(metric for metric in group.metrics if metric.name in scores)
        if metrics:
            yield Group(group.title, group.meaning, metrics)


def progress_of(metric: Metric, score: Score) -> float | None:
    """How far a score is from floor (0) to ceiling (1).

    None where one of them is missing, the floor is as good as the ceiling, or they are closer to
    each other than the interval is wide.
    """
    value, floor, ceiling = score["value"], score["floor"], score["ceiling"]
    if value is None or floor is None or ceiling is None or not _beats(metric, ceiling, floor):
        return None
    worst, best = _ends(metric, score, value)
    return progress(value, floor, ceiling) if abs(best - worst) < abs(ceiling - floor) else None


def verdict(metric: Metric, score: Score) -> str:
    """In words, "" where there is nothing to compare with."""
    value, floor, ceiling = score["value"], score["floor"], score["ceiling"]
    if value is None:
        return "not measured"
    worst, best = _ends(metric, score, value)
    if metric.good == "near":  # neither more nor less is good
        if ceiling is None:
            return ""
        least, most = sorted((worst, best))
        if least <= ceiling <= most:
            return LIKE
        return "less than the person" if most < ceiling else "more than the person"
    if floor is not None and _beats(metric, floor, best):
        return "worse than the floor"
    if floor is not None and ceiling is not None and progress_of(metric, score) is None:
        return CLOSE if _beats(metric, ceiling, best) else f"{LIKE}, and so is the floor"
    if floor is not None and not _beats(metric, worst, floor):
        return "not distinguishable from the floor"
    if ceiling is not None and not _beats(metric, ceiling, best):
        return BEYOND if metric.good == "high" and _beats(metric, worst, ceiling) else LIKE
    if floor is not None:
        return "better than the floor"
    return "" if ceiling is None else "worse than the ceiling"


def _ends(metric: Metric, score: Score, value: float) -> tuple[float, float]:
    """The worse and the better end of the interval; the value itself where there is none."""
    low, high = score["low"], score["high"]
    ends = value if low is None else low, value if high is None else high
    return ends if metric.good == "high" else ends[::-1]


def _beats(metric: Metric, one: float, other: float) -> bool:
    return one > other if metric.good == "high" else one < other


KEY = (
    "Floor: what comes without the person's voice. Ceiling: the person's own real replies. "
    "Progress: how far a value is from the one to the other."
)
COLUMNS = ("metric", "value [low–high]", "floor", "ceiling", "progress", "verdict")


def table(scores: Scores) -> str:
    """All scores, group by group: Markdown that is as readable in a terminal."""
    sections = [
        f"## {group.title}\n\n{group.meaning}\n\n" + _grid([COLUMNS, *_rows(group, scores)])
        for group in groups(scores)
    ]
    return "\n\n".join([KEY, *sections] if sections else [])


def _rows(group: Group, scores: Scores) -> Iterator[tuple[str, ...]]:
    for metric in group.metrics:
        score = scores[metric.name]
        floor, ceiling = (metric.show(n) or "–" for n in (score["floor"], score["ceiling"]))
        share = progress_of(metric, score)
        got = "–" if share is None else f"{100 * share:.0f} %"
        words = verdict(metric, score)
        if score["value"] is None and score["note"]:
            words = score["note"]
        yield metric.label, metric.value(score), floor, ceiling, got, words


def _grid(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
