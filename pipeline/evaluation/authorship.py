"""Who wrote it? The question answered by our own decoder with a classification head.

Unlike a classifier of character n-grams it reads order and meaning, as far as the decoder knows the
language.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from minbpe.base import Tokenizer
from pipeline.classify.backbone import Backbone, machine_for
from pipeline.classify.csv_table import Table
from pipeline.classify.splits import MIN_TEXTS, Examples, split
from pipeline.classify.train_classifier import probabilities, train_classifier
from pipeline.common.errors import DataError
from pipeline.common.screen import Screen
from transformer.decoder import Decoder

PERSONA, OTHERS = "a persona", "others"  # in this order
MAX_TURNS = 600  # turns of the persona, and as many of others

Odds = Callable[[Sequence[str]], list[float]]


def learn_authorship(
    decoder: Decoder,
    tokenizer: Tokenizer,
    texts: Mapping[str, Sequence[str]],
    persona: str,
    seed: int,
    seconds: float = math.inf,
) -> Odds:
    """Learn a function that gives the log-odds that the persona wrote each of some replies.

    `texts` are real turns by speaker, of which as many are drawn from the persona as from all
    others together, so that even odds are 0. `decoder` is left unchanged. Training ends after
    `seconds` at the latest. DataError where there is too little text.
    """
    drawn = balanced(texts, persona, seed)
    parts = split(drawn, (PERSONA, OTHERS), seed)
    backbone = Backbone(copy.deepcopy(decoder).float(), tokenizer, persona)
    known, more = parts.train, parts.test
    both = Examples([*known.texts, *more.texts], [*known.labels, *more.labels])
    trained = train_classifier(
        backbone, 2, both, parts.val, seed, Screen(Console(quiet=True)), seconds
    )

    def odds(replies: Sequence[str]) -> list[float]:
        ids, _ = trained.encoder.encode(replies)
        log_p = probabilities(trained.classifier, ids, machine_for(backbone.decoder)).log()
        log_odds: list[float] = (log_p[:, 0] - log_p[:, 1]).tolist()
        return log_odds

    return odds


def balanced(texts: Mapping[str, Sequence[str]], persona: str, seed: int) -> Table:
    """As many turns of the persona as of the others, drawn at random; blank ones are left out."""
    draw = random.Random(seed)
    own = [text for text in texts.get(persona, ()) if text.strip()]
    others = [t for who, said in texts.items() if who != persona for t in said if t.strip()]
    count = min(len(own), len(others), MAX_TURNS)
    if count < MIN_TEXTS:
        raise DataError(
            f"There are {len(own)} turns of the persona and {len(others)} of others, too few to "
            f"tell them apart (at least {MIN_TEXTS} each)."
        )
    chosen = [*draw.sample(own, count), *draw.sample(others, count)]
    return Table(chosen, [PERSONA] * count + [OTHERS] * count)
