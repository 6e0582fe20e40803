"""`classify train` and `classify predict`: files in, a folder or a file out, scores shown."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.classify import classification_scores as scores
from pipeline.classify import csv_table, splits
from pipeline.common.errors import DataError
from pipeline.common.files import atomic
from pipeline.common.screen import Screen

if TYPE_CHECKING:
    from pipeline.classify.classifier_folder import TextClassifier


@dataclass(frozen=True)
class Columns:
    """The names of a file's columns."""

    text: str = "text"
    label: str = "label"


def train(
    path: Path, columns: Columns, start: str | None, out: Path, seed: int, screen: Screen
) -> None:
    """Train a classifier on a labelled file, show its scores on held-out texts, save it to `out`.

    `start` is the model to begin with; None: a new small one.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; name a folder for the classifier with --out.")
    usable = splits.usable(csv_table.read(path, columns.text, columns.label, labelled=True))
    names = splits.class_names(usable.table.labels)
    parts = splits.split(usable.table, names, seed)
    _show_splits(usable, parts, names, seed, screen)
    with _nothing_written():
        from pipeline.classify.backbone import load_backbone, new_backbone
        from pipeline.classify.classifier_folder import TextClassifier
        from pipeline.classify.train_classifier import train_classifier

        backbone = load_backbone(start) if start else new_backbone(parts.train.texts, seed)
        screen.say(f"Starting from {backbone}.")
        trained = train_classifier(backbone, len(names), parts.train, parts.val, seed, screen)
        model = TextClassifier(trained.classifier, backbone.tokenizer, names)
        ids, truncated = model.encoder.encode(parts.test.texts)
        _warn_truncated(trained.truncated + truncated, model, screen)
        best = trained.best
        screen.say(f"Best epoch: {best.number}, validation accuracy {best.accuracy:.1%}.")
        predicted = [number for number, _ in _predict(model, ids, screen)]
        model.save(out)
    _show_scores(parts, predicted, names, screen)
    screen.say(f"The classifier is in {out}. To label other texts:")
    screen.say(f"  python -m pipeline classify predict FILE.csv --model {out}")


def predict(path: Path, columns: Columns, folder: Path, screen: Screen) -> None:
    """Write `FILE.predicted.csv`, count the labels, and compare them with given ones."""
    from pipeline.classify import classifier_folder

    table = csv_table.read(path, columns.text, columns.label, labelled=False)
    model = classifier_folder.load(folder)
    ids, truncated = model.encoder.encode(table.texts)
    _warn_truncated(truncated, model, screen)
    with _nothing_written():
        predicted = _predict(model, ids, screen)
    names = [model.labels[number] for number, _ in predicted]
    out = path.with_suffix(".predicted.csv")
    with atomic(out) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("text", "label", "probability"))
        for text, name, (_, probability) in zip(table.texts, names, predicted, strict=True):
            rows.writerow((text, name, f"{probability:.4f}"))
    counts = ", ".join(f"{n:,} {name}" for name, n in Counter(names).most_common())
    screen.say(f"{out}: {counts}.")
    correct = [a == b for a, b in zip(table.labels, names, strict=True) if a]
    if correct:
        accuracy = sum(correct) / len(correct)
        screen.say(f"Accuracy on the {len(correct):,} labelled rows: {accuracy:.1%}.")


def _predict(
    model: TextClassifier, ids: list[list[int]], screen: Screen
) -> list[tuple[int, float]]:
    """The most likely class of each text, and its probability."""
    from pipeline.classify.backbone import machine_for
    from pipeline.classify.train_classifier import probabilities

    machine = machine_for(model.classifier.decoder)
    model.classifier.to(machine.device)
    with screen.bar("labelling", len(ids), count=True) as bar:
        best, numbers = probabilities(model.classifier, ids, machine, bar.to).max(dim=1)
    return list(zip(numbers.tolist(), best.tolist(), strict=True))


def _show_splits(
    usable: splits.Usable, parts: splits.Splits, names: Sequence[str], seed: int, screen: Screen
) -> None:
    skipped = {"without text or label": usable.incomplete, "duplicates": usable.duplicates}
    if any(skipped.values()):
        screen.warn("skipped: " + ", ".join(f"{n:,} {why}" for why, n in skipped.items() if n))
    screen.say(f"{len(usable.table):,} texts, split with seed {seed}:")
    for name, part in parts._asdict().items():
        counts = Counter(part.labels)
        each = ", ".join(f"{counts[number]:,} {label}" for number, label in enumerate(names))
        screen.note(f"{name:<5} {len(part):>6,}: {each}")


def _warn_truncated(count: int, model: TextClassifier, screen: Screen) -> None:
    if count:
        screen.warn(f"texts truncated to {model.encoder.max_tokens} tokens: {count:,}")


def _show_scores(
    parts: splits.Splits, predicted: Sequence[int], names: Sequence[str], screen: Screen
) -> None:
    """The scores of the classifier and of the baseline on the test split; the confusion table."""
    test = parts.test
    counts = scores.confusion(test.labels, predicted, len(names))
    baseline = scores.baseline(parts.train, test.texts)
    baseline_counts = scores.confusion(test.labels, baseline, len(names))
    screen.say(f"On the {len(test):,} test texts:")
    for name, each in {"this classifier": counts, scores.BASELINE: baseline_counts}.items():
        accuracy, f1 = scores.accuracy(each), scores.macro_f1(each)
        screen.say(f"  {name:<{len(scores.BASELINE)}} accuracy {accuracy:6.1%}, macro F1 {f1:.3f}")
    if len(names) <= scores.MAX_CLASSES:
        screen.console.print(scores.confusion_table(counts, names))


@contextmanager
def _nothing_written() -> Iterator[None]:
    """Say on Ctrl-C that the files are as they were."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("Stopped; nothing was written.") from stop
