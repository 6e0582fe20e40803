"""The proof: how much the model is like the person, on conversations that nothing was trained on.

Every figure stands between a floor and a ceiling. The floor is the untuned base at the same
moments; a model that learned its language here has none, so there it is the same model as somebody
else of the chat. The ceiling is the real person.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.common.errors import DataError
from pipeline.common.screen import Screen
from pipeline.evaluation import attribution, authorship, ranking
from pipeline.evaluation.attribution import Attribution, Independent, Judge
from pipeline.evaluation.copies import copies
from pipeline.evaluation.diversity import diversity
from pipeline.evaluation.habits import Table, habits
from pipeline.evaluation.moments import Moment
from pipeline.evaluation.prediction import Column, Conversations, predict, spread
from pipeline.evaluation.replies import Reply
from pipeline.evaluation.scores import FEW, ratio_interval, score
from pipeline.evaluation.voice import Voice
from pipeline.serving.rules import end_reply
from transformer.decoder import Decoder

Scores = dict[str, dict[str, Any]]

RANKED, CANDIDATES = 60, 20  # moments, and replies to choose from at each
EACH = 4  # replies to a moment: reading what was said before takes as long as answering it
AT_ONCE = 16  # moments, …
TOKENS_AT_ONCE = 2_048  # … but so many tokens of a reply to each of them
LEARNING, JUDGED = 45.0, 400  # seconds for the decoder to learn the speakers; replies it judges
PREDICTING, RANKING = 0.3, 0.4  # of the time has passed at most when these end
FIGURING = 0.2  # of the time is kept for the figures after the last reply
SAMPLE = 2_000  # tokens that tell how fast predicting is
FEWEST = 5  # conversations from which an interval is worth the name
RENAMED = 3  # every so manieth conversation is predicted under another name, too


@dataclass(frozen=True)
class Clock:
    """How much of the time for the proof is left."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        """The share of the time that has passed."""
        return (time.monotonic() - self.began) / self.seconds


@dataclass(frozen=True)
class Evidence:
    """What is known of the chat: the held-out part, and what was trained on.

    `countries` are those whose telephone numbers are known as dialled at home.
    """

    persona: str
    moments: Sequence[Moment]
    held_out: Conversations
    trained: Conversations
    countries: Sequence[str] = ()

    @property
    def real(self) -> list[Reply]:
        """The real replies, written as made ones are: without blank lines."""
        return [Reply(end_reply(moment.real), moment.number) for moment in self.moments]

    @cached_property
    def turns(self) -> Mapping[str, list[str]]:
        """What everybody said in the training part."""
        found: dict[str, list[str]] = {}
        for conversation in self.trained:
            for turn in conversation:
                found.setdefault(turn.speaker, []).append(turn.text)
        return found

    @cached_property
    def other(self) -> str:
        """Whoever else has most turns among the training and the held-out ones; "" if nobody."""
        heard = {turn.speaker for conversation in self.held_out for turn in conversation}
        others = {who: len(said) for who, said in self.turns.items() if who != self.persona}
        return max(others, key=lambda who: (who in heard, others[who]), default="")


@dataclass
class Proof:
    """The figures of one model as one persona; `floor` is what it must be better than."""

    own: Voice
    floor: Voice | None
    floor_name: str
    reader: Decoder  # who learns to tell the speakers apart
    evidence: Evidence
    seed: int
    screen: Screen
    clock: Clock
    tokens: int  # of the test part to be predicted at most
    scores: Scores = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    made: list[Reply] = field(default_factory=list)
    beneath: list[Reply] = field(default_factory=list)

    def run(self, replies: int) -> None:
        """Fill `scores`, `tables`, and the replies `made` and those `beneath` (the floor's)."""
        self._bits()
        self._ranks()
        self._answer(replies)
        self._figures()

    # --- how well it predicts ----------------------------------------------------------------

    def _bits(self) -> None:
        """Bits per byte of the real replies, and the gap to the same model as somebody else."""
        speaks = [
            c for c in self.evidence.held_out if any(t.speaker == self.own.speaker for t in c)
        ]
        asked = spread(speaks, self.own, min(self.tokens, self._affordable(speaks)))
        own = predict(self.own, asked)
        if not own.targets.sum():
            why = score(None, note="the test part holds no reply of the persona")
            self.scores |= {"bits_per_byte": why, "loss": why, "wrong_persona_gap": why}
            return
        part = f"{len(asked)} of {len(speaks)} conversations; " if len(asked) < len(speaks) else ""
        part += f"only {own.turns} turns: rough; " if own.turns < FEW else ""
        floor, note = None, part
        if self.floor is not None and not self.floor.instead_of:
            floor = float(predict(self.floor, asked).bits.sum() / own.bytes.sum())
            note += f"floor: {self.floor_name}"
        ratio = partial(self._ratio, count=own.turns)
        ratio("bits_per_byte", own.bits, own.bytes, floor, note)
        ratio("loss", own.nats, own.targets, None, f"{part}nats a token")
        if not self.evidence.other:
            self.scores["wrong_persona_gap"] = score(None, note="nobody else is in the chat")
            return
        wrong = replace(self.own, speaker=self.evidence.other, instead_of=self.evidence.persona)
        some = slice(None, None, RENAMED if len(asked) > RENAMED * RENAMED else 1)
        found = predict(wrong, asked[some])
        gap = found.bits - own.bits[some]
        ratio = partial(self._ratio, count=found.turns)
        ratio("wrong_persona_gap", gap, own.bytes[some], 0.0, "two names changed places")

    def _affordable(self, conversations: Conversations) -> int:
        """How many tokens can be predicted by model and floor, and some once more, in the time."""
        began = time.monotonic()
        predict(self.own, spread(conversations, self.own, SAMPLE))
        rate = SAMPLE / max(time.monotonic() - began, 1e-9)
        left = (PREDICTING - self.clock.spent) * self.clock.seconds
        return max(SAMPLE, int(left * rate / (2 + 1 / RENAMED)))

    def _ratio(
        self, name: str, top: Column, bottom: Column, floor: float | None, note: str, count: int
    ) -> None:
        low, high = ratio_interval(top, bottom, self.seed) if len(top) >= FEWEST else (None, None)
        note += "" if low is not None else f"; from {len(top)} conversations only: no interval"
        value = float(top.sum() / bottom.sum())
        self.scores[name] = score(value, low=low, high=high, floor=floor, n=count, note=note)

    # --- how well it listens -----------------------------------------------------------------

    def _ranks(self) -> None:
        """Among the person's own replies to other moments, is the right one the likeliest?

        A reply's score is what the context adds to its log-probability, so that a reply that is
        likely anywhere does not win everywhere (Li et al. 2016, arXiv 1510.03055).
        """
        asked = [m for m in self.evidence.moments if m.before]
        rng = np.random.default_rng(self.seed)
        asked = [asked[n] for n in rng.permutation(len(asked))[:RANKED]]
        texts = list(dict.fromkeys(moment.real for moment in asked))
        if len(texts) < CANDIDATES:
            self.scores |= ranking.ranking(np.zeros((0, 0)), self.seed)
            return
        alone = dict(zip(texts, self._alone(texts), strict=True))
        rows: list[NDArray[np.float64]] = []
        with self.screen.bar("ranking replies", len(asked), count=True) as bar:
            for number, moment in enumerate(asked, 1):
                if len(rows) > 1 and self.clock.spent > RANKING:
                    break
                others = [text for text in texts if text != moment.real]
                chosen = rng.permutation(len(others))[: CANDIDATES - 1]
                candidates = [moment.real, *(others[n] for n in chosen)]
                found = self.own.chances(self.own.context(moment), candidates)
                rows.append(found - np.array([alone[text] for text in candidates]))
                bar.to(number)
        self.scores |= ranking.ranking(np.array(rows), self.seed)

    def _alone(self, texts: Sequence[str]) -> NDArray[np.float64]:
        opened = self.own.context(Moment(0, (), ""))
        parts = [texts[n : n + CANDIDATES] for n in range(0, len(texts), CANDIDATES)]
        return np.concatenate([self.own.chances(opened, part) for part in parts])

    # --- how it sounds -----------------------------------------------------------------------

    def _answer(self, wanted: int) -> None:
        """Replies of the model and of the floor to the same moments, while there is time."""
        asked = list(self.evidence.moments)
        order = np.random.default_rng(self.seed).permutation(len(asked))
        size = max(1, min(AT_ONCE, TOKENS_AT_ONCE // self.own.max_tokens))
        groups = [order[n : n + size] for n in range(0, len(order), size)]
        rounds = ((turn, group) for turn in range(wanted) for group in groups)
        with self.screen.bar("answering", min(wanted, 1 << 30), count=True) as bar:
            for turn, group in rounds:
                if len(self.made) >= wanted or (self.made and self.clock.spent > 1 - FIGURING):
                    return
                moments = [asked[n] for n in group]
                seed = self.seed + 1000 * turn + int(group[0])
                self.made += self.own.replies(moments, EACH, seed)
                if self.floor is not None:
                    self.beneath += self.floor.replies(moments, EACH, seed)
                bar.to(min(len(self.made), wanted))

    def _figures(self) -> None:
        evidence, real = self.evidence, self.evidence.real
        if not self.made:
            return
        usual = [end_reply(text) for text in evidence.turns.get(evidence.persona, [])]
        self.scores["attribution"] = self._attributed(self._ngrams)
        self.scores["attribution_by_decoder"] = self._attributed(self._by_decoder, JUDGED)
        found, self.tables = habits(real, self.made, self.beneath, usual, self.seed)
        self.scores |= found
        self.scores |= diversity(real, self.made, self.seed)
        texts = [text for said in evidence.turns.values() for text in said]
        prompts = {m.number: "\n".join(t.text for t in m.before) for m in evidence.moments}
        self.scores |= copies(real, self.made, prompts, texts, self.seed, evidence.countries)

    def _attributed(self, learn: Callable[[], Judge], most: int | None = None) -> dict[str, Any]:
        """What a judge who learned from the training part says of the replies, or `most` each."""
        try:
            judge = learn()
        except DataError as error:
            return score(None, note=f"not measurable here: {error}")
        made, floor, real = (g[:most] for g in (self.made, self.beneath, self.evidence.real))
        found = attribution.measure(judge, made, floor, real, self.seed)
        return {**found, "note": f"{found['note']}; floor: {self.floor_name}"}

    def _ngrams(self) -> Judge:
        evidence = self.evidence
        return Attribution.fit(evidence.turns, evidence.persona, self.seed).evidence

    def _by_decoder(self) -> Judge:
        """Our own decoder with a head, as it was before the fine-tuning."""
        odds = authorship.learned(
            self.reader,
            self.own.tokenizer,
            self.evidence.turns,
            self.evidence.persona,
            self.seed,
            min(LEARNING, self.clock.seconds * (1 - self.clock.spent) / 3),
        )
        return lambda texts: Independent(odds(texts))
