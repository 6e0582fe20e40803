"""The scores of stage 8 in words: a verdict on each, and a table of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.evaluation.scores import way
from pipeline.report.metrics import GROUPS, Group, Metric, Score

Scores = Mapping[str, Score]

LIKE = "like the person"
BEYOND = "beyond the person: nearer to what was learned than new replies are"
CLOSE = "cannot be told: floor and ceiling are too close"


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
    return _between(metric, score)


def _beside(metric: Metric, score: Score) -> str:
    """Where neither more nor less is good."""
    if score["ceiling"] is None:
        return ""
    worst, best = sorted(_ends(metric, score))
    if worst <= score["ceiling"] <= best:
        return LIKE
    return "less than the person" if best < score["ceiling"] else "more than the person"


def _between(metric: Metric, score: Score) -> str:
    floor, ceiling = score["floor"], score["ceiling"]
    worst, best = _ends(metric, score)
    if floor is not None and _beats(metric, floor, best):
        return "worse than the floor"
    if floor is not None and ceiling is not None and progress(metric, score) is None:
        return CLOSE if _beats(metric, ceiling, best) else f"{LIKE}, and so is the floor"
    if floor is not None and not _beats(metric, worst, floor):
        return "not told from the floor"
    if ceiling is not None and not _beats(metric, ceiling, best):
        return BEYOND if metric.good == "high" and _beats(metric, worst, ceiling) else LIKE
    if floor is not None:
        return "better than the floor"
    return "" if ceiling is None else "worse than the ceiling"


def _ends(metric: Metric, score: Score) -> tuple[float, float]:
    """The worse and the better end of the interval."""
    ends = [score["value"] if score[end] is None else score[end] for end in ("low", "high")]
    return (ends[0], ends[1]) if metric.good == "high" else (ends[1], ends[0])


def _beats(metric: Metric, one: float, other: float) -> bool:
    return one > other if metric.good == "high" else one < other


KEY = (
    "Floor: what comes without the person's voice. Ceiling: the person's own real replies. "
    "Way: how far a value has got from the one to the other."
)
COLUMNS = ("metric", "value [low–high]", "floor", "ceiling", "way", "verdict")


def table(scores: Scores) -> str:
    """All scores, group by group: Markdown that is as readable in a terminal."""
    told = [
        f"## {group.title}\n\n{group.meaning}\n\n" + _grid([COLUMNS, *_rows(group, scores)])
        for group in groups(scores)
    ]
    return "\n\n".join([KEY, *told] if told else [])


def _rows(group: Group, scores: Scores) -> Iterator[tuple[str, ...]]:
    for metric in group.metrics:
        score = scores[metric.name]
        references = (metric.show(score[name]) or "–" for name in ("floor", "ceiling"))
        said, share = verdict(metric, score), progress(metric, score)
        if score["value"] is None and score["note"]:
            said = score["note"]
        got = "–" if share is None else f"{100 * share:.0f} %"
        yield metric.label, metric.value(score), *references, got, said


def _grid(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
