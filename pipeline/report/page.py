"""`report.html`: all of stage 8 on one page that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from pipeline.common.files import atomic
from pipeline.evaluation.copies import leaks
from pipeline.evaluation.samples import SHOWN, Exchange
from pipeline.report.habits import PLOTS, Table, draw_habit
from pipeline.report.likeness import Scores, groups, progress, verdict
from pipeline.report.metrics import Group, Metric, Score

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
_KEY = '<p class="key faint"><b class="real"></b>real<b class="made"></b>made</p>'
_PAIRS = {
    "openings": "The most frequent first words of a message",
    "punctuation": "How messages end",
    "capitals": "Capital letters: all, the first, none",
    "emoji": "Emoji in a message",
}
_MOST_PAIRS = 15


def write_page(
    path: Path,
    persona: str,
    facts: Mapping[str, object],
    scores: Scores,
    tables: Mapping[str, Table],
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
            file.writelines(_group(group, scores))
        file.writelines(_habits(tables))
        file.writelines(_exchanges(exchanges))
        file.write("</body></html>\n")


def _facts(facts: Mapping[str, object], scores: Scores) -> Iterator[str]:
    if warning := leaks(scores):
        yield f"<p class='private'>{escape(warning)}</p>\n"
    yield "<dl>"
    for name, value in facts.items():
        yield f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>"
    yield "</dl>\n"


def _group(group: Group, scores: Scores) -> Iterator[str]:
    yield f"<h2>{escape(group.title)}</h2>\n<p class='faint'>{escape(group.meaning)}</p>\n"
    for metric in group.metrics:
        yield from _metric(metric, scores[metric.name])


def _metric(metric: Metric, score: Score) -> Iterator[str]:
    said = "; ".join(escape(text) for text in (verdict(metric, score), score["note"]) if text)
    yield (
        f"<div class='metric'><div class='head'><span>{escape(metric.label)}</span>"
        f"<span class='number'>{metric.value(score)}</span></div>"
    )
    yield _bar(metric, score) or _references(metric, score)
    yield f"<div class='note'>{said}</div></div>\n"


def _references(metric: Metric, score: Score) -> str:
    found = [
        f"{end} {metric.show(score[end])}"
        for end in ("floor", "ceiling")
        if metric.show(score[end])
    ]
    return f"<div class='note'>{', '.join(found)}</div>" if found else ""


def _bar(metric: Metric, score: Score) -> str:
    """From floor to ceiling, with the value and its interval between; "" without these."""
    if progress(metric, score) is None:
        return ""
    low, high = (_place(score, "value" if score[end] is None else end) for end in ("low", "high"))
    ends = "".join(f"<span>{end} {metric.show(score[end])}</span>" for end in ("floor", "ceiling"))
    return (
        f"<div class='track'><i class='mark' style='left:{_MARGIN}%'></i>"
        f"<i class='mark' style='left:{100 - _MARGIN}%'></i>"
        f"<i class='reach' style='left:{min(low, high):.1f}%;width:{abs(high - low):.1f}%'></i>"
        f"<i class='dot' style='left:{_place(score, 'value'):.1f}%'></i></div>"
        f"<div class='ends'>{ends}</div>"
    )


def _place(score: Score, name: str) -> float:
    """Where a number stands on the bar, in % of its width; what is beyond an end is put there."""
    share = (score[name] - score["floor"]) / (score["ceiling"] - score["floor"])
    return float(min(100.0, max(0.0, _MARGIN + share * (100 - 2 * _MARGIN))))


def _habits(tables: Mapping[str, Table]) -> Iterator[str]:
    if not tables:
        return
    yield f"<h2>The habits themselves</h2>{_KEY}\n"
    yield "<div class='plots'>"
    for name in PLOTS:
        if name in tables:
            light, dark = (draw_habit(name, tables[name], ink) for ink in ("#1d2126", "#e6e7e9"))
            yield (
                f"<picture><source media='(prefers-color-scheme: dark)' srcset='{dark}'>"
                f"<img src='{light}' alt='{name}, real against made'></picture>"
            )
    yield "</div>\n"
    for name, title in _PAIRS.items():
        if name in tables:
            yield f"<h3>{title}</h3>\n<div class='pairs'>{''.join(_pairs(tables[name]))}</div>\n"


def _pairs(table: Table) -> Iterator[str]:
    rows = list(zip(table["values"], table["real"], table["made"], strict=True))[:_MOST_PAIRS]
    largest = max((share for _, *shares in rows for share in shares), default=0) or 1
    for value, *shares in rows:
        yield f"<span dir='auto'>{escape(str(value))}</span><span>"
        for name, share in zip(("real", "made"), shares, strict=True):
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
        for name, text in (("real", exchange.real), ("made", exchange.made)):
            yield f"<div class='a-{name}' dir='auto'><small>{name}</small>{escape(text)}</div>"
        yield "</div></div>\n"
