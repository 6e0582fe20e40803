"""`evaluate --judge`: a language model judges what the model answers in the test conversations."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.common.errors import SettingsError
from pipeline.common.files import read_jsonl, write_json
from pipeline.common.screen import Screen
from pipeline.dialogue.people import persona_of
from pipeline.evaluation.chat_server import ChatServer
from pipeline.evaluation.judge import (
    INSTRUCTION,
    LIKENESS,
    Judge,
    agreed,
    pair_questions,
    score_question,
)
from pipeline.evaluation.moments import Moment
from pipeline.evaluation.reply_cache import FOLDER, moments_of, replies_of
from pipeline.evaluation.scores import FEW, ratio_interval, score
from pipeline.workspace.find_model import find_model
from pipeline.workspace.stages import DIALOGUE_TEXTS, PRETRAINED
from pipeline.workspace.workspace import Workspace

JUDGED, FIGURES = f"{FOLDER}/judged.jsonl", f"{FOLDER}/judge.json"
EXAMPLES = 20  # messages of the person that the judge sees beside a pair

Reply = Callable[[Moment], str]


def connect(url: str, model: str, allow_remote: bool) -> ChatServer:
    """The judge; SettingsError when the chat would leave this network and nobody allowed it."""
    server = ChatServer(url, model)
    if not server.local and not allow_remote:
        raise SettingsError(
            f"{server.where} is not on this machine or its private network, and would be sent "
            f"moments of the test conversations and {EXAMPLES} messages of the person; "
            "--allow-remote allows that."
        )
    return server


def judge(workspace: Workspace, server: ChatServer, screen: Screen) -> None:
    """Ask about every moment of samples.md; write judge.json, and say what came out."""
    model = find_model(workspace.path)
    moments = moments_of(workspace, workspace.settings.evaluate.prompts)
    base = workspace.path / PRETRAINED
    floor = replies_of(model, workspace, base).to if base.exists() else None
    examples = None if workspace.settings.dialogues.source else _examples(workspace)
    judging = Judging(Judge(server, workspace.path / JUDGED), examples)
    screen.note(
        f"asking {server.model} at {server.where}; it is shown {len(moments)} moments of the chat"
    )
    with workspace.lock(), screen.bar("judging", len(moments), count=True) as bar:
        for number in judging.each(moments, replies_of(model, workspace).to, floor):
            bar.to(number)
    figures = judging.figures(workspace.settings.train.seed)
    write_json(workspace.path / FIGURES, figures)
    for name, figure in figures.items():
        screen.note(f"{name.replace('_', ' ')}: {in_words(figure)}")


@dataclass
class Judging:
    """The answers about some moments.

    `examples` are messages of the person; without them (None), following instructions is judged.
    """

    judge: Judge
    examples: Sequence[str] | None
    made: list[float | None] = field(default_factory=list)
    floor: list[float | None] = field(default_factory=list)
    ceiling: list[float | None] = field(default_factory=list)
    pairs: list[float | None] = field(default_factory=list)

    def each(
        self, moments: Sequence[Moment], reply: Reply, floor: Reply | None = None
    ) -> Iterator[int]:
        """Ask about one moment after the other; yields how many are done.

        `floor` is what an untuned model replies.
        """
        for number, moment in enumerate(moments, 1):
            made = reply(moment)
            self.made.append(self._score(moment, "made", made))
            self.ceiling.append(self._score(moment, "real", moment.real))
            if floor is not None:
                self.floor.append(self._score(moment, "base", floor(moment)))
            if self.examples is not None:
                self.pairs.append(self._pair(moment, made, self.examples))
            yield number

    def _score(self, moment: Moment, about: str, reply: str) -> float | None:
        rules = INSTRUCTION if self.examples is None else LIKENESS
        return self.judge.ask(score_question(moment, about, reply, rules))

    def _pair(self, moment: Moment, made: str, examples: Sequence[str]) -> float | None:
        one, other = pair_questions(moment, made, examples)
        return agreed(self.judge.ask(one), self.judge.ask(other))

    def figures(self, seed: int) -> dict[str, Any]:
        """Scores in the shape of scores.json."""
        likeness = figure(
            self.made,
            seed,
            f"0 to 100; {self._note(self.made, self.floor, self.ceiling)}",
            floor=mean(self.floor),
            ceiling=mean(self.ceiling),
        )
        if self.examples is None:
            return {"judged_answers": likeness}
        won, tied, lost = (self.pairs.count(value) for value in (1.0, 0.5, 0.0))
        outcome = f"{won} won, {tied} tied, {lost} lost against the real reply"
        note = f"{outcome}, in both orders; {self._note(self.pairs)}"
        return {
            "judged_likeness": likeness,
            "judged_wins": figure(self.pairs, seed, note, ceiling=0.5),
        }

    def _note(self, *answers: list[float | None]) -> str:
        asked, lost = sum(map(len, answers)), sum(each.count(None) for each in answers)
        unread = f"; {lost} of {asked} answers could not be read" if lost else ""
        return f"judge {self.judge.server.model}{unread}"


def figure(
    values: Sequence[float | None],
    seed: int,
    note: str,
    floor: float | None = None,
    ceiling: float | None = None,
) -> dict[str, Any]:
    """The mean of the answers that could be read, with a bootstrap interval over moments."""
    read = np.array([value for value in values if value is not None])
    if not len(read):
        return score(None, note=note)
    low, high = ratio_interval(read, np.ones(len(read)), seed)
    rough = f"only {len(read)} moments: rough; " if len(read) < FEW else ""
    return score(
        float(read.mean()),
        low=low,
        high=high,
        floor=floor,
        ceiling=ceiling,
        n=len(read),
        note=rough + note,
    )


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of what there is; None when there is nothing."""
    read = [value for value in values if value is not None]
    return sum(read) / len(read) if read else None


def in_words(score: dict[str, Any]) -> str:
    """A score on one line."""
    if score["value"] is None:
        return f"none ({score['note']})"
    bounds = {name: score[name] for name in ("floor", "ceiling") if score[name] is not None}
    told = "".join(f", {name} {value:g}" for name, value in bounds.items())
    return f"{score['value']:g} ({score['low']:g} to {score['high']:g}{told}; {score['note']})"


def _examples(workspace: Workspace) -> list[str]:
    """Messages of the person from the training part, the same every time."""
    rows, persona = read_jsonl(workspace.path / DIALOGUE_TEXTS[0]), persona_of(workspace)
    turns = (turn for row in rows for turn in row["turns"] if turn["learned"])
    said = [turn["text"] for turn in turns if turn["speaker"] == persona]
    seed = workspace.settings.train.seed
    return random.Random(seed).sample(said, min(EXAMPLES, len(said)))
