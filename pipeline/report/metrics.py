"""The scores of stage 8: their labels, which direction is good, and what a group of them asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.evaluation.intervals import Score


@dataclass(frozen=True)
class Metric:
    """One score. Good is a high value, a low one, or one near the person's own."""

    name: str
    label: str
    good: Literal["high", "low", "near"] = "low"
    percent: bool = False

    def show(self, number: float | None) -> str:
        if number is None:
            return ""
        return f"{100 * number:.1f} %" if self.percent else f"{number:.3g}"

    def value(self, score: Score) -> str:
        """As `2.79 [2.71–2.86]`; a dash where it was not measured."""
        value, low, high = score["value"], score["low"], score["high"]
        if value is None or low is None:
            return self.show(value) or "–"
        to = " to " if low < 0 else "–"
        return f"{self.show(value)} [{self.show(low).removesuffix(' %')}{to}{self.show(high)}]"


@dataclass(frozen=True)
class Group:
    """Metrics that answer one question; `meaning` explains them to somebody new to them."""

    title: str
    meaning: str
    metrics: tuple[Metric, ...]


GROUPS = (
    Group(
        "Who wrote it?",
        "A classifier that knows everyone in the chat guesses from spelling and wording whether "
        "the person wrote the generated replies; higher is better, and the ceiling is the person.",
        (
            Metric("attribution", "log-odds of the person", "high"),
            Metric("attribution_by_decoder", "the same by our decoder", "high"),
        ),
    ),
    Group(
        "Prediction",
        "How many bits the model needs for what the person really answered; lower is better.",
        (
            Metric("bits_per_byte", "bits per byte"),
            Metric("loss", "loss, nats per token"),
            Metric("wrong_persona_gap", "more bits under another name", "high"),
            Metric("language_bits_per_byte", "everybody's text, bits per byte"),
        ),
    ),
    Group(
        "Fit to the conversation",
        "Whether the model finds the reply that was really given among others; higher is better, "
        "and the floor is guessing.",
        (
            Metric("ranked_first", "ranked first", "high", percent=True),
            Metric("mean_reciprocal_rank", "mean reciprocal rank", "high"),
        ),
    ),
    Group(
        "Habits",
        "How far each habit is from the person's, from 0 (the same) to 1 (nothing in common); "
        "lower is better, and the ceiling is what chance leaves.",
        (
            Metric("length_distance", "length of a reply"),
            Metric("burst_distance", "messages in a reply"),
            Metric("emoji_distance", "emoji in a message"),
            Metric("punctuation_distance", "how messages end"),
            Metric("capitals_distance", "capital letters"),
            Metric("openings_distance", "first words"),
            Metric("scripts_distance", "scripts"),
        ),
    ),
    Group(
        "Diversity",
        "How much the replies repeat themselves; good is as much as the person does (the ceiling), "
        "neither less nor more.",
        (
            Metric("distinct_1", "different words", "near", percent=True),
            Metric("distinct_2", "different pairs of words", "near", percent=True),
            Metric("distinct_3", "different runs of three", "near", percent=True),
            Metric("same_replies", "replies given twice", "near", percent=True),
            Metric("loops", "replies in a loop", percent=True),
        ),
    ),
    Group(
        "Privacy",
        "What came out word for word from the training text, and addresses or numbers in the "
        "replies; lower is better, and the ceiling is how much the person repeats.",
        (
            Metric("copied_replies", "replies with a copy", percent=True),
            Metric("copied_text", "text that is copied", percent=True),
            Metric("repeated_messages", "messages of four words or more said before", percent=True),
            Metric("personal_data", "personal data of the chat"),
        ),
    ),
)
