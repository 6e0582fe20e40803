"""A trained classifier as a folder: decoder and head, `tokenizer.json`, `labels.json`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import minbpe
from minbpe.base import Tokenizer
from pipeline.classify.encode import Encoder
from pipeline.common.errors import WorkspaceError, one_line
from pipeline.common.files import read_json, write_json
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
        """Write all files beside the folder, then move them in: an older one stays whole."""
        new = folder.resolve().with_name(folder.resolve().name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        try:
            heads.save(self.classifier, new)
            with one_line():
                minbpe.save(self.tokenizer, new / TOKENIZER)
            write_json(new / LABELS, self.labels)
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(new.iterdir()):
                path.replace(folder / path.name)
        finally:
            shutil.rmtree(new, ignore_errors=True)


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
