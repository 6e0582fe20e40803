"""The scores in words, as a table, and on one page that needs nothing beside itself."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest

from pipeline.dialogue.turns import Turn
from pipeline.evaluation.intervals import score
from pipeline.report.metrics import GROUPS, Metric
from pipeline.report.page import PRIVATE, write_page
from pipeline.report.samples import Exchange
from pipeline.report.verdicts import BEYOND, CLOSE, groups, progress_of, table, verdict

HIGH, LOW, NEAR = (Metric("x", "x", good) for good in ("high", "low", "near"))
TABLES = {
    "length": {"values": [2, 30, 90], "real": [0.2, 0.5, 0.3], "generated": [0.1, 0.9, 0.0]},
    "burst": {"values": [1, 2, 9], "real": [0.5, 0.4, 0.1], "generated": [1.0, 0.0, 0.0]},
    "openings": {"values": ["<i>ok", "مرحبا"], "real": [0.8, 0.2], "generated": [0.1, 0.9]},
}
SCORES = {
    "attribution": score(0.2, low=0.1, high=0.3, floor=-1, ceiling=0.5, n=30, note="a <note>"),
    "distinct_1": score(0.2, low=0.18, high=0.22, ceiling=0.4),
    "copied_replies": score(0.1, low=0.05, high=0.2, ceiling=0.01),
    "personal_data": score(2, note="email 2"),
    "loss": score(None, note="no test replies"),
    "something_new": score(3.0),
}


@pytest.mark.parametrize(
    ("metric", "value", "low", "high", "floor", "ceiling", "words"),
    [
        (HIGH, 0.5, 0.4, 0.6, 0.0, 1.0, "better than the floor"),
        (HIGH, 0.9, 0.8, 1.1, 0.0, 1.0, "like the person"),
        (HIGH, 1.5, 1.4, 1.6, 0.0, 1.0, BEYOND),
        (LOW, 0.1, 0.08, 0.12, 1.0, 0.2, "like the person"),
        (HIGH, 0.1, -0.1, 0.3, 0.0, 1.0, "not distinguishable from the floor"),
        (HIGH, -0.5, -0.6, -0.4, 0.0, 1.0, "worse than the floor"),
        (LOW, 0.5, 0.4, 0.6, 1.0, 0.0, "better than the floor"),
        (LOW, 0.02, 0.0, 0.1, 1.0, 0.05, "like the person"),
        (LOW, 0.5, 0.4, 0.6, 0.1, 0.12, "worse than the floor"),
        (LOW, 0.1, 0.05, 0.2, 0.12, 0.1, "like the person, and so is the floor"),
        (LOW, 0.1, 0.05, 0.2, 0.12, 0.04, CLOSE),
        (LOW, 2.0, 1.9, 2.1, 3.0, None, "better than the floor"),
        (LOW, 2.0, 1.9, 2.1, None, 1.0, "worse than the ceiling"),
        (NEAR, 0.3, 0.2, 0.4, None, 0.35, "like the person"),
        (NEAR, 0.3, 0.2, 0.4, None, 0.5, "less than the person"),
        (NEAR, 0.3, 0.2, 0.4, None, 0.1, "more than the person"),
        (LOW, 2.0, None, None, None, None, ""),
        (LOW, None, None, None, None, None, "not measured"),
    ],
)
def test_a_verdict_in_words(metric, value, low, high, floor, ceiling, words):
    found = score(value, low=low, high=high, floor=floor, ceiling=ceiling)
    assert verdict(metric, found) == words


def test_progress_needs_both_ends():
    assert progress_of(HIGH, score(0.5, floor=0.0, ceiling=2.0)) == 0.25
    assert progress_of(LOW, score(0.5, floor=2.0, ceiling=0.0)) == 0.75
    assert progress_of(LOW, score(0.5, floor=0.0, ceiling=2.0)) is None
    assert progress_of(HIGH, score(0.5, ceiling=2.0)) is None


def test_the_table_shows_every_score_and_why_one_is_missing():
    text = table(SCORES)
    assert text.startswith("Floor: ")
    assert "| 0.2 [0.1–0.3]" in text
    assert re.search(r"\| 80 % +\|", text)
    assert "| 20.0 % [18.0–22.0 %]" in text
    assert "no test replies" in text
    assert "something new" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == len(SCORES) + 2 * len(list(groups(SCORES)))
    assert table({}) == ""


def test_every_group_says_which_way_is_good():
    assert all(re.search("higher|lower|good is", group.meaning) for group in GROUPS)


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "srcset", "href")]

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    before = [Turn("Ana", ("<script>alert(1)</script>", "hi"))]
    exchanges = [Exchange(before, "fine & well", "<b>fine")]
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, "Ana <3", {"minutes": 12}, SCORES, TABLES, exchanges)
    return path.read_text(encoding="utf-8")


def test_the_page_needs_nothing_and_runs_nothing(page):
    found = _Page(page)
    assert "script" not in found.tags
    assert len(found.links) == 4
    for link in found.links:
        kind, _, data = link.partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert b"<svg" in base64.b64decode(data)
    assert "prefers-color-scheme: dark" in page
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_says_first_that_it_is_private_and_escapes_what_people_wrote(page):
    words = _Page(page).words
    assert words.index(PRIVATE) < words.index("minutes") < words.index("Who wrote it?")
    for said in ("<script>alert(1)</script>\nhi", "fine & well", "<b>fine", "<i>ok", "Ana <3"):
        assert said in words
    assert "10.0 % of the replies hold a run" in words


def test_a_score_with_both_ends_has_a_bar(page):
    assert page.count("class='track'") == 1
    assert "class='dot' style='left:74.0%'" in page


def test_a_page_of_nothing(tmp_path):
    write_page(tmp_path / "report.html", "Ana", {}, {}, {}, [])
    assert PRIVATE in (tmp_path / "report.html").read_text(encoding="utf-8")
