"""`report.html`: all of stage 8 on one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from pipeline.common.files import atomic
from pipeline.evaluation.copies import leak_warning
from pipeline.evaluation.habits import HabitTable
from pipeline.evaluation.intervals import Score, Scores, progress
from pipeline.report.metrics import Metric
from pipeline.report.pictures import HABIT_PLOTS, draw_habit
from pipeline.report.samples import SHOWN, Exchange
from pipeline.report.verdicts import groups, progress_of, verdict

PRIVATE = (
    "This page quotes the chat. It is as private as the chat itself: do not pass it on without "
    "asking those who wrote it."
)
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>
{style}</style></head><body>
"""
_MARGIN = 10  # % of a bar's width before the floor and after the ceiling
_KEY = '<p class="key faint"><b class="real"></b>real<b class="generated"></b>generated</p>'
_PAIRS = {
    "openings": "The most frequent first words of a message",
    "punctuation": "How messages end",
    "capitals": "Capital letters: all, the first, none",
    "emoji": "Emoji in a message",
}
_MAX_PAIRS = 15


def write_page(
    path: Path,
    persona: str,
    facts: Mapping[str, object],
    scores: Scores,
    tables: Mapping[str, HabitTable],
    exchanges: Sequence[Exchange],
) -> None:
    """Scores with bars, plots of the habits, and sample exchanges; `facts` are shown as given."""
    title = f"How much does the model sound like {persona}?"
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    with atomic(path) as file:
        file.write(_HEAD.format(title=escape(title), style=style))
        file.write(f"<h1>{escape(title)}</h1>\n<p class='private'>{PRIVATE}</p>\n")
        file.writelines(_facts(facts, scores))
        for group in groups(scores):
            meaning = escape(group.meaning)
            file.write(f"<h2>{escape(group.title)}</h2>\n<p class='faint'>{meaning}</p>\n")
            for metric in group.metrics:
                file.writelines(_metric(metric, scores[metric.name]))
        file.writelines(_habits(tables))
        file.writelines(_exchanges(exchanges))
        file.write("</body></html>\n")


def _facts(facts: Mapping[str, object], scores: Scores) -> Iterator[str]:
    if warning := leak_warning(scores):
        yield f"<p class='private'>{escape(warning)}</p>\n"
    yield "<dl>"
    for name, value in facts.items():
        yield f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>"
    yield "</dl>\n"


def _metric(metric: Metric, score: Score) -> Iterator[str]:
    said = "; ".join(escape(text) for text in (verdict(metric, score), score["note"]) if text)
    yield (
        f"<div class='metric'><div class='head'><span>{escape(metric.label)}</span>"
        f"<span class='number'>{metric.value(score)}</span></div>"
    )
    yield _bar(metric, score) or _references(metric, score)
    yield f"<div class='note'>{said}</div></div>\n"


def _references(metric: Metric, score: Score) -> str:
    ends = {"floor": score["floor"], "ceiling": score["ceiling"]}
    shown = [f"{end} {metric.show(number)}" for end, number in ends.items() if number is not None]
    return f"<div class='note'>{', '.join(shown)}</div>" if shown else ""


def _bar(metric: Metric, score: Score) -> str:
    """From floor to ceiling, with the value and its interval between; "" without these."""
    value, floor, ceiling = score["value"], score["floor"], score["ceiling"]
    if value is None or floor is None or ceiling is None or progress_of(metric, score) is None:
        return ""

    def place(number: float) -> float:
        """Where a number stands on the bar, in % of its width; what lies outside is at an end."""
        inner = progress(number, floor, ceiling) * (100 - 2 * _MARGIN)
        return min(100.0, max(0.0, _MARGIN + inner))

    low, high = (
        place(value if number is None else number) for number in (score["low"], score["high"])
    )
    ends = f"<span>floor {metric.show(floor)}</span><span>ceiling {metric.show(ceiling)}</span>"
    return (
        f"<div class='track'><i class='mark' style='left:{_MARGIN}%'></i>"
        f"<i class='mark' style='left:{100 - _MARGIN}%'></i>"
        f"<i class='reach' style='left:{min(low, high):.1f}%;width:{abs(high - low):.1f}%'></i>"
        f"<i class='dot' style='left:{place(value):.1f}%'></i></div>"
        f"<div class='ends'>{ends}</div>"
    )


def _habits(tables: Mapping[str, HabitTable]) -> Iterator[str]:
    if not tables:
        return
    yield f"<h2>The habits themselves</h2>{_KEY}\n"
    yield "<div class='plots'>"
    for name in HABIT_PLOTS:
        if name in tables:
            light, dark = (draw_habit(name, tables[name], ink) for ink in ("#1d2126", "#e6e7e9"))
            yield (
                f"<picture><source media='(prefers-color-scheme: dark)' srcset='{dark}'>"
                f"<img src='{light}' alt='{name}, real against generated'></picture>"
            )
    yield "</div>\n"
    for name, title in _PAIRS.items():
        if name in tables:
            yield f"<h3>{title}</h3>\n<div class='pairs'>{''.join(_pairs(tables[name]))}</div>\n"


def _pairs(table: HabitTable) -> Iterator[str]:
    rows = list(zip(table["values"], table["real"], table["generated"], strict=True))[:_MAX_PAIRS]
    largest = max((share for _, *shares in rows for share in shares), default=0) or 1
    for value, *shares in rows:
        yield f"<span dir='auto'>{escape(str(value))}</span><span>"
        for name, share in zip(("real", "generated"), shares, strict=True):
            width = 75 * share / largest
            yield f"<div><b class='{name}' style='width:{width:.1f}%'></b>{100 * share:.1f} %</div>"
        yield "</span>"


def _exchanges(exchanges: Sequence[Exchange]) -> Iterator[str]:
    if exchanges:
        yield "<h2>Samples</h2>\n<p class='faint'>From conversations nothing was trained on.</p>\n"
    for exchange in exchanges:
        yield "<div class='exchange'>"
        for turn in exchange.before[-SHOWN:]:
            speaker, text = escape(turn.speaker), escape(turn.text)
            yield f"<p class='said' dir='auto'><b>{speaker}</b>: {text}</p>"
        yield "<div class='answer'>"
        for name, text in (("real", exchange.real), ("generated", exchange.generated)):
            yield f"<div class='a-{name}' dir='auto'><small>{name}</small>{escape(text)}</div>"
        yield "</div></div>\n"
