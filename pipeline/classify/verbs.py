"""`classify train` and `classify predict`: files in, a folder or a file out, figures shown."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.classify import measures, parts, peer, table
from pipeline.common.errors import DataError
from pipeline.common.files import atomic
from pipeline.common.screen import Screen

if TYPE_CHECKING:
    from pipeline.classify.folder import Ready

OURS = "this classifier"


@dataclass(frozen=True)
class Columns:
    """Which columns of a file are meant."""

    text: str = "text"
    label: str = "label"


def train(
    path: Path, columns: Columns, start: str | None, out: Path, seed: int, screen: Screen
) -> None:
    """Make `out` from a labelled file, and say how well it does on texts it never saw."""
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; give --out a folder to put the classifier in.")
    found = parts.Learnable.of(table.read(path, columns.text, columns.label, labelled=True))
    names = parts.classes(found.table.labels)
    split = parts.split(found.table, names, seed)
    _say_split(found, split, names, seed, screen)
    with _nothing_written():
        ready, told = _trained(split, names, start, seed, screen)
        ready.save(out)
    _say_test(split, told, names, screen)
    screen.say(f"{out} holds the classifier. Label other texts with it:")
    screen.say(f"  python -m pipeline classify predict FILE.csv --model {out}")


def predict(path: Path, columns: Columns, folder: Path, screen: Screen) -> None:
    """Write `FILE.predicted.csv` and count what was told; where labels are given, compare."""
    from pipeline.classify import folder as folders

    found = table.read(path, columns.text, columns.label, labelled=False)
    ready = folders.load(folder)
    ids, cut = ready.encoder.encode(found.texts)
    _say_cut(cut, ready, screen)
    with _nothing_written():
        told = _told(ready, ids, screen)
    names = [ready.labels[number] for number, _ in told]
    out = path.with_suffix(".predicted.csv")
    with atomic(out) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("text", "label", "probability"))
        for text, name, (_, probability) in zip(found.texts, names, told, strict=True):
            rows.writerow((text, name, f"{probability:.4f}"))
    counted = ", ".join(f"{n:,} {name}" for name, n in Counter(names).most_common())
    screen.say(f"{out}: {counted}.")
    known = [a == b for a, b in zip(found.labels, names, strict=True) if a]
    if known:
        screen.say(f"Of {len(known):,} labelled rows {sum(known) / len(known):.1%} are right.")


def _trained(
    split: parts.Parts, names: list[str], start: str | None, seed: int, screen: Screen
) -> tuple[Ready, list[int]]:
    """The classifier, and the classes it tells of the test part."""
    from pipeline.classify import base as bases
    from pipeline.classify.folder import Ready
    from pipeline.classify.train import train as fitted

    learned = split["train"]
    base = bases.given(start) if start else bases.own(learned.texts, seed)
    screen.say(f"Starting from {base}.")
    made = fitted(base, len(names), (learned, split["val"]), seed, screen)
    ready = Ready(made.classifier, base.tokenizer, names)
    ids, cut = made.encoder.encode(split["test"].texts)
    _say_cut(made.cut + cut, ready, screen)
    best = made.best
    screen.say(f"Best after pass {best.number}: {best.accuracy:.1%} right in the val part.")
    return ready, [number for number, _ in _told(ready, ids, screen)]


def _told(ready: Ready, ids: list[list[int]], screen: Screen) -> list[tuple[int, float]]:
    """The class of each text, and its probability."""
    from pipeline.classify.base import machine_for
    from pipeline.classify.learn import probabilities

    machine = machine_for(ready.classifier.decoder)
    ready.classifier.to(machine.device)
    with screen.bar("labelling", len(ids), count=True) as bar:
        found = probabilities(ready.classifier, ids, machine, bar.to)
    best, numbers = found.max(dim=1)
    return list(zip(numbers.tolist(), best.tolist(), strict=True))


def _say_split(
    found: parts.Learnable, split: parts.Parts, names: Sequence[str], seed: int, screen: Screen
) -> None:
    left_out = {"without text or label": found.incomplete, "repeats": found.repeats}
    if any(left_out.values()):
        counted = ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)
        screen.warn(f"left out: {counted}")
    screen.say(f"{len(found.table):,} texts, split by seed {seed}:")
    for name, part in split.items():
        counts = Counter(part.labels)
        each = ", ".join(f"{counts[number]:,} {label}" for number, label in enumerate(names))
        screen.note(f"{name:<5} {len(part):>6,}: {each}")


def _say_cut(cut: int, ready: Ready, screen: Screen) -> None:
    if cut:
        screen.warn(
            f"{cut:,} texts are longer than {ready.encoder.longest} tokens: the rest is cut"
        )


def _say_test(
    split: parts.Parts, told: Sequence[int], names: Sequence[str], screen: Screen
) -> None:
    """Both classifiers' figures on the test part, and the confusion of ours."""
    test = split["test"]
    both = {OURS: told, peer.NAME: peer.told(split["train"], test.texts)}
    screen.say(f"On the {len(test):,} texts of the test part:")
    for name, numbers in both.items():
        counts = measures.confusion(test.labels, numbers, len(names))
        figures = (
            f"{measures.accuracy(counts):7.1%} right, macro F1 {measures.macro_f1(counts):.3f}"
        )
        screen.say(f"  {name:<{len(peer.NAME)}} {figures}")
    if len(names) <= measures.WIDEST:
        counts = measures.confusion(test.labels, told, len(names))
        screen.console.print(measures.confusion_table(counts, names))


@contextmanager
def _nothing_written() -> Iterator[None]:
    """Say what Ctrl-C leaves behind: what was there before."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("Stopped: nothing was written; start it again any time.") from stop
