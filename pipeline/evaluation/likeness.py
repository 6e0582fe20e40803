"""How much the model is like the person, on conversations that nothing was trained on.

Every figure stands between a floor and a ceiling. The floor is the untuned base at the same
moments; a model that learned its language here has no base, so there it is the same model as
somebody else of the chat. The ceiling is the real person.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from pipeline.common.errors import DataError
from pipeline.common.screen import Screen
from pipeline.evaluation import authorship
from pipeline.evaluation.attribution import AdditiveOdds, Attribution, OddsOf, attribution_score
from pipeline.evaluation.copies import copies
from pipeline.evaluation.diversity import diversity
from pipeline.evaluation.habits import HabitTable, habits
from pipeline.evaluation.intervals import FEW, Floats, Score, Scores, ratio_interval, score
from pipeline.evaluation.moments import Moment, Reply
from pipeline.evaluation.prediction import (
    Conversations,
    predict,
    rank_scores,
    sample_conversations,
)
from pipeline.evaluation.voice import Voice
from pipeline.serving.rules import end_reply
from transformer.decoder import Decoder

RANKED, CANDIDATES = 60, 20  # moments, and replies to choose from at each
REPLIES_PER_MOMENT = 4  # reading what was said before takes as long as answering it
MOMENTS_AT_ONCE = 16  # fewer where replies are long, …
TOKENS_AT_ONCE = 2_048  # … so that one reply to each has at most this many tokens together
AUTHORSHIP_SECONDS, AUTHORSHIP_REPLIES = 45.0, 400  # to learn the speakers; replies to judge
PREDICTED_BY, RANKED_BY = 0.3, 0.4  # share of the time by which these phases end
KEPT_FOR_SCORES = 0.2  # share of the time after the last reply
SPEED_TOKENS = 2_000  # that measure how fast predicting is
MIN_CONVERSATIONS = 5  # for an interval
RENAMED_EVERY = 3  # every n-th conversation is predicted under another name, too


@dataclass(frozen=True)
class Clock:
    """How much of the time for the evaluation has passed."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        """As a share of all."""
        return (time.monotonic() - self.began) / self.seconds


@dataclass(frozen=True)
class Evidence:
    """What is known of the chat: the held-out part, and what was trained on.

    `countries` are those whose telephone numbers are recognised without their country code.
    """

    persona: str
    moments: Sequence[Moment]
    held_out: Conversations
    trained: Conversations
    countries: Sequence[str] = ()

    @property
    def real(self) -> list[Reply]:
        """The real replies, written as generated ones are: without blank lines."""
        return [Reply(end_reply(moment.real), moment.number) for moment in self.moments]

    @cached_property
    def turns(self) -> Mapping[str, list[str]]:
        """What everybody said in the training part."""
        turns: dict[str, list[str]] = {}
        for conversation in self.trained:
            for turn in conversation:
                turns.setdefault(turn.speaker, []).append(turn.text)
        return turns

    @cached_property
    def other(self) -> str:
        """Whoever else has most training turns, of those who are held out too; "" if nobody."""
        heard = {turn.speaker for conversation in self.held_out for turn in conversation}
        others = {who: len(said) for who, said in self.turns.items() if who != self.persona}
        return max(others, key=lambda who: (who in heard, others[who]), default="")


@dataclass
class Evaluator:
    """Measures one model as one persona; `floor` is what it has to be better than."""

    own: Voice
    floor: Voice | None
    floor_name: str
    reader: Decoder  # which learns to tell the speakers apart
    evidence: Evidence
    seed: int
    screen: Screen
    clock: Clock
    max_tokens: int  # of the test part to predict
    scores: Scores = field(default_factory=dict)
    tables: dict[str, HabitTable] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)
    floor_replies: list[Reply] = field(default_factory=list)

    def run(self, replies: int) -> None:
        """Fill in the scores, the tables, and about `replies` replies, as time allows."""
        self._predict()
        self._rank()
        self._answer(replies)
        if self.replies:
            self._score_replies()

    # --- how well it predicts ----------------------------------------------------------------

    def _predict(self) -> None:
        """Bits per byte of the real replies, and the gap to the same model as somebody else."""
        own_name = self.own.speaker
        conversations = [c for c in self.evidence.held_out if any(t.speaker == own_name for t in c)]
        limit = min(self.max_tokens, self._affordable_tokens(conversations))
        asked = sample_conversations(conversations, self.own, limit)
        own = predict(self.own, asked)
        if not own.targets.sum():
            missing = score(None, note="the test part holds no reply of the persona")
            self.scores |= {"bits_per_byte": missing, "loss": missing, "wrong_persona_gap": missing}
            return
        part = ""
        if len(asked) < len(conversations):
            part += f"{len(asked)} of {len(conversations)} conversations; "
        if own.turns < FEW:
            part += f"only {own.turns} turns: rough; "
        floor, note = None, part
        if self.floor is not None and not self.floor.instead_of:
            floor = float(predict(self.floor, asked).bits.sum() / own.bytes.sum())
            note += f"floor: {self.floor_name}"
        self.scores["bits_per_byte"] = self._ratio(own.bits, own.bytes, floor, own.turns, note)
        note = f"{part}nats per token"
        self.scores["loss"] = self._ratio(own.nats, own.targets, None, own.turns, note)
        if not self.evidence.other:
            self.scores["wrong_persona_gap"] = score(None, note="nobody else is in the chat")
            return
        wrong = replace(self.own, speaker=self.evidence.other, instead_of=self.evidence.persona)
        some = slice(None, None, RENAMED_EVERY if len(asked) > RENAMED_EVERY**2 else 1)
        renamed = predict(wrong, asked[some])
        self.scores["wrong_persona_gap"] = self._ratio(
            renamed.bits - own.bits[some],
            own.bytes[some],
            0.0,
            renamed.turns,
            "two names changed places",
        )

    def _affordable_tokens(self, conversations: Conversations) -> int:
        """How many tokens model and floor can predict in the time, and some of them once more."""
        began = time.monotonic()
        predict(self.own, sample_conversations(conversations, self.own, SPEED_TOKENS))
        rate = SPEED_TOKENS / max(time.monotonic() - began, 1e-9)
        left = (PREDICTED_BY - self.clock.spent) * self.clock.seconds
        return max(SPEED_TOKENS, int(left * rate / (2 + 1 / RENAMED_EVERY)))

    def _ratio(self, top: Floats, bottom: Floats, floor: float | None, n: int, note: str) -> Score:
        """The score of a ratio of sums over conversations."""
        low = high = None
        if len(top) >= MIN_CONVERSATIONS:
            low, high = ratio_interval(top, bottom, self.seed)
        else:
            note += f"; from {len(top)} conversations only: no interval"
        value = float(top.sum() / bottom.sum())
        return score(value, low=low, high=high, floor=floor, n=n, note=note)

    # --- how well it listens -----------------------------------------------------------------

    def _rank(self) -> None:
        """Among the person's own replies to other moments, is the right one the likeliest?

        A reply's score is what the context adds to its log-probability, so that a reply that is
        likely anywhere does not win everywhere (Li et al. 2016, arXiv 1510.03055).
        """
        asked = [m for m in self.evidence.moments if m.before]
        rng = np.random.default_rng(self.seed)
        asked = [asked[n] for n in rng.permutation(len(asked))[:RANKED]]
        texts = list(dict.fromkeys(moment.real for moment in asked))
        if len(texts) < CANDIDATES:
            self.scores |= rank_scores(np.zeros((0, 0)), self.seed)
            return
        no_context = self.own.context(Moment(0, (), ""))
        parts = [texts[n : n + CANDIDATES] for n in range(0, len(texts), CANDIDATES)]
        chances = np.concatenate([self.own.chances(no_context, part) for part in parts])
        alone = dict(zip(texts, chances, strict=True))
        rows: list[Floats] = []
        with self.screen.bar("ranking replies", len(asked), count=True) as bar:
            for number, moment in enumerate(asked, 1):
                if len(rows) > 1 and self.clock.spent > RANKED_BY:
                    break
                others = [text for text in texts if text != moment.real]
                chosen = rng.permutation(len(others))[: CANDIDATES - 1]
                candidates = [moment.real, *(others[n] for n in chosen)]
                chances = self.own.chances(self.own.context(moment), candidates)
                rows.append(chances - np.array([alone[text] for text in candidates]))
                bar.to(number)
        self.scores |= rank_scores(np.array(rows), self.seed)

    # --- how it sounds -----------------------------------------------------------------------

    def _answer(self, limit: int) -> None:
        """Replies of the model and of the floor to the same moments, while there is time."""
        asked = self.evidence.moments
        order = np.random.default_rng(self.seed).permutation(len(asked))
        size = max(1, min(MOMENTS_AT_ONCE, TOKENS_AT_ONCE // self.own.max_tokens))
        groups = [order[n : n + size] for n in range(0, len(order), size)]
        passes = ((number, group) for number in range(limit) for group in groups)
        with self.screen.bar("answering", limit, count=True) as bar:
            for number, group in passes:
                out_of_time = self.replies and self.clock.spent > 1 - KEPT_FOR_SCORES
                if len(self.replies) >= limit or out_of_time:
                    return
                moments = [asked[n] for n in group]
                seed = self.seed + 1000 * number + int(group[0])
                self.replies += self.own.replies(moments, REPLIES_PER_MOMENT, seed)
                if self.floor is not None:
                    self.floor_replies += self.floor.replies(moments, REPLIES_PER_MOMENT, seed)
                bar.to(min(len(self.replies), limit))

    def _score_replies(self) -> None:
        evidence, real, seed = self.evidence, self.evidence.real, self.seed
        self.scores["attribution"] = self._attribution(self._learn_ngrams)
        self.scores["attribution_by_decoder"] = self._attribution(
            self._learn_by_decoder, AUTHORSHIP_REPLIES
        )
        usual = [end_reply(text) for text in evidence.turns.get(evidence.persona, [])]
        distances, self.tables = habits(real, self.replies, self.floor_replies, usual, seed)
        self.scores |= distances
        self.scores |= diversity(real, self.replies, seed)
        texts = [text for said in evidence.turns.values() for text in said]
        prompts = {m.number: "\n".join(t.text for t in m.before) for m in evidence.moments}
        self.scores |= copies(real, self.replies, prompts, texts, seed, evidence.countries)

    def _attribution(self, learn: Callable[[], OddsOf], limit: int | None = None) -> Score:
        """How a classifier that learned from the training part sees at most `limit` replies."""
        try:
            odds_of = learn()
        except DataError as error:
            return score(None, note=f"not measurable here: {error}")
        groups = (self.replies, self.floor_replies, self.evidence.real)
        generated, floor, real = (replies[:limit] for replies in groups)
        result = attribution_score(odds_of, generated, floor, real, self.seed)
        result["note"] += f"; floor: {self.floor_name}"
        return result

    def _learn_ngrams(self) -> OddsOf:
        evidence = self.evidence
        return Attribution.fit(evidence.turns, evidence.persona, self.seed).odds

    def _learn_by_decoder(self) -> OddsOf:
        """Our own decoder with a classification head, as it was before the fine-tuning."""
        odds = authorship.learn_authorship(
            self.reader,
            self.own.tokenizer,
            self.evidence.turns,
            self.evidence.persona,
            self.seed,
            min(AUTHORSHIP_SECONDS, self.clock.seconds * (1 - self.clock.spent) / 3),
        )
        return lambda texts: AdditiveOdds(odds(texts))
