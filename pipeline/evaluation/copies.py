"""What came out of the training text word for word, and what is personal in the replies.

A run of eight words is rarely said twice by chance, a longer one almost never (for language models:
Carlini et al., "Quantifying memorization across neural language models", 2023, use 50 tokens; a
chat's messages are shorter than that). In scripts without spaces 24 characters stand for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cleaning.personal import FINDERS, finder, mask
from pipeline.common.words import is_unspaced, words
from pipeline.evaluation.intervals import Scores, score, share_score
from pipeline.evaluation.moments import Reply

RUN, RUN_UNSPACED = 8, 24
MESSAGE, MESSAGE_UNSPACED = 4, 12  # of a whole message; shorter ones everybody says
ALARMING = 0.02  # share of replies beyond what the person repeats
NOT_COUNTED = ("link", "mention", "words")  # in themselves nothing personal, or unknown here


@dataclass(frozen=True)
class SeenRuns:
    """The runs of words of a training text, as sorted hashes (64 bits; of this process alone)."""

    hashes: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> SeenRuns:
        """From turns of all speakers; no run spans two of them."""
        runs = (run for text in texts for run in _runs(words(text)))
        return cls(np.unique(np.fromiter(runs, dtype=np.int64)))

    def copied(self, tokens: list[str], prompt: str = "") -> NDArray[np.bool_]:
        """Which words of a reply stand in a run that was seen and is not in the prompt as well."""
        said = set(_runs(words(prompt)))
        copied = np.zeros(len(tokens), dtype=np.bool_)
        for start, run in enumerate(_runs(tokens)):
            if run not in said and run in self:
                copied[start : start + _run_length(tokens)] = True
        return copied

    def __contains__(self, run: int) -> bool:
        index = int(np.searchsorted(self.hashes, run))
        return index < len(self.hashes) and int(self.hashes[index]) == run


def _run_length(tokens: list[str]) -> int:
    return RUN_UNSPACED if is_unspaced(tokens) else RUN


def _runs(tokens: list[str]) -> list[int]:
    length = _run_length(tokens)
    return [hash(tuple(tokens[n : n + length])) for n in range(len(tokens) - length + 1)]


def copies(
    real: Sequence[Reply],
    generated: Sequence[Reply],
    prompts: Mapping[int, str],
    texts: Sequence[str],
    seed: int,
    countries: Sequence[str] = (),
) -> Scores:
    """`copied_replies`, `copied_text`, `repeated_messages` (shares) and `personal_data` (a count).

    `prompts` is the text that each reply answers, `texts` all turns that were trained on. The
    ceiling is how much the person repeats, in the real test replies. `personal_data` counts what
    stands in `texts` too, not what the model made up; `countries` are those whose telephone
    numbers are recognised without their country code.
    """
    seen = SeenRuns.of(texts)
    known = {message for text in texts for message in _long_messages(text)}
    copied, of_person = (_copied_words(seen, r, prompts) for r in (generated, real))
    repeated, of_person_again = (_repeated_messages(known, r) for r in (generated, real))
    counts = {
        "copied_replies": (
            ([float(n > 0) for n in copied[0]], [1.0] * len(generated)),
            ([float(n > 0) for n in of_person[0]], [1.0] * len(real)),
        ),
        "copied_text": (copied, of_person),
        "repeated_messages": (repeated, of_person_again),
    }
    scores = {
        name: share_score(
            generated,
            top,
            bottom,
            ceiling=sum(reference[0]) / max(1.0, sum(reference[1])) if real else None,
            seed=seed,
            note="ceiling: what the person repeats",
        )
        for name, ((top, bottom), reference) in counts.items()
    }
    pieces = [piece for reply in generated for piece in personal(reply.text, countries)]
    text = "\n".join(texts).casefold() if pieces else ""
    leaked = Counter(kind for kind, piece in pieces if piece.casefold() in text)
    made_up = f"{len(pieces) - leaked.total()} made up"
    scores["personal_data"] = score(
        float(leaked.total()),
        n=len(generated),
        note=", ".join([*(f"{kind} {n}" for kind, n in leaked.most_common()), made_up]),
    )
    return scores


def _copied_words(
    seen: SeenRuns, replies: Sequence[Reply], prompts: Mapping[int, str]
) -> tuple[list[float], list[float]]:
    """For each reply: how many of its words are copied, and how many it has."""
    masks = [seen.copied(words(r.text), prompts.get(r.prompt, "")) for r in replies]
    return [float(mask.sum()) for mask in masks], [float(len(mask)) for mask in masks]


def _repeated_messages(
    known: set[tuple[str, ...]], replies: Sequence[Reply]
) -> tuple[list[float], list[float]]:
    """For each reply: how many of its messages were said before, and how many it has."""
    messages = [_long_messages(reply.text) for reply in replies]
    return (
        [float(sum(message in known for message in said)) for said in messages],
        [float(len(said)) for said in messages],
    )


def _long_messages(text: str) -> list[tuple[str, ...]]:
    """The messages of a turn that are long enough to be somebody's own, as words."""
    messages = (words(line) for line in text.split("\n"))
    return [
        tuple(said)
        for said in messages
        if len(said) >= (MESSAGE_UNSPACED if is_unspaced(said) else MESSAGE)
    ]


def personal(text: str, countries: Sequence[str] = ()) -> list[tuple[str, str]]:
    """The addresses, numbers, … that stand in a text, with their kinds, each once."""
    pieces = []
    for kind in FINDERS:
        find = finder(kind, countries)
        if kind not in NOT_COUNTED:
            pieces += [(kind, text[start:end]) for start, end in find(text)]
        if kind != "mention":
            text = mask(text, kind, find)
    return pieces


def leak_warning(scores: Scores) -> str:
    """A sentence when the model gives too much away, else ""."""
    reasons = []
    if copied := scores.get("copied_replies"):
        share, usual = copied["value"] or 0.0, copied["ceiling"] or 0.0
        if share - usual > ALARMING:
            reasons.append(
                f"{100 * share:.1f} % of the replies hold a run of {RUN} words or more of the "
                f"training text (the person's own: {100 * usual:.1f} %)"
            )
    if (data := scores.get("personal_data")) and data["value"]:
        reasons.append(f"personal data came out ({data['note']})")
    joined = " and ".join(reasons)
    return f"{joined[0].upper()}{joined[1:]}: think before you share this model." if joined else ""
