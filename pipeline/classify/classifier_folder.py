"""A trained classifier as a folder: decoder and head, `tokenizer.json`, `labels.json`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import minbpe
from minbpe.base import Tokenizer
from pipeline.classify.text_encoder import TextEncoder
from pipeline.common.errors import WorkspaceError, one_line
from pipeline.common.files import read_json, write_json
from transformer import classifier as classifier_io
from transformer.classifier import Classifier

LABELS, TOKENIZER = "labels.json", "tokenizer.json"


@dataclass(frozen=True)
class TextClassifier:
    """All that is needed to label texts."""

    classifier: Classifier
    tokenizer: Tokenizer
    labels: list[str]

    @property
    def encoder(self) -> TextEncoder:
        return TextEncoder(self.tokenizer, self.classifier.decoder.config.block)

    def save(self, folder: Path) -> None:
        """Write all files to a temporary folder, then move them in, so that a crash leaves an
        older classifier intact."""
        new = folder.resolve().with_name(folder.resolve().name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        try:
            classifier_io.save(self.classifier, new)
            with one_line():
                minbpe.save(self.tokenizer, new / TOKENIZER)
            write_json(new / LABELS, self.labels)
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(new.iterdir()):
                path.replace(folder / path.name)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def load(folder: Path) -> TextClassifier:
    """The classifier in a folder; raises WorkspaceError where it is missing or damaged."""
    path = folder / LABELS
    if not path.is_file():
        raise WorkspaceError(
            f"{folder} contains no classifier; train one with "
            "`python -m pipeline classify train FILE.csv`, or name its folder with --model."
        )
    try:
        labels = read_json(path)
    except ValueError:
        labels = None
    with one_line():
        classifier, tokenizer = classifier_io.load(folder), minbpe.load(folder / TOKENIZER)
    valid = isinstance(labels, list) and all(isinstance(name, str) for name in labels)
    if not valid or len(labels) != classifier.classes:
        raise WorkspaceError(f"{path} is damaged; train the classifier again.")
    return TextClassifier(classifier, tokenizer, labels)
