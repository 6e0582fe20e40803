"""A trained classifier as a folder: decoder and head, `tokenizer.json`, `labels.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import minbpe
from minbpe.base import Tokenizer
from pipeline.classify.encode import Encoder
from pipeline.errors import WorkspaceError, one_line
from pipeline.files import read_json, write_json
from transformer import classifier as heads
from transformer.classifier import Classifier

LABELS, TOKENIZER = "labels.json", "tokenizer.json"


@dataclass(frozen=True)
class Ready:
    """What labels texts."""

    classifier: Classifier
    tokenizer: Tokenizer
    labels: list[str]

    @property
    def encoder(self) -> Encoder:
        return Encoder(self.tokenizer, self.classifier.decoder.config.block)

    def save(self, folder: Path) -> None:
        """Write the folder; the weights come last."""
        folder.mkdir(parents=True, exist_ok=True)
        with one_line():
            self.tokenizer.save(folder / TOKENIZER)
            write_json(folder / LABELS, self.labels)
            heads.save(self.classifier, folder)


def load(folder: Path) -> Ready:
    """The classifier in a folder; raises WorkspaceError where it is missing or damaged."""
    if not (folder / LABELS).is_file():
        raise WorkspaceError(
            f"{folder} holds no classifier; make one with "
            "`python -m pipeline classify train FILE.csv`, or name its folder with --model."
        )
    try:
        labels = read_json(folder / LABELS)
    except ValueError:
        labels = None
    with one_line():
        classifier, tokenizer = heads.load(folder), minbpe.load(folder / TOKENIZER)
    names = labels if isinstance(labels, list) else []
    if len(names) != classifier.classes or not all(type(name) is str for name in names):
        raise WorkspaceError(f"{folder / LABELS} is damaged; train the classifier again.")
    return Ready(classifier, tokenizer, names)
