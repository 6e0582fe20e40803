"""`evaluate --judge`: a language model judges what the model answers in the test conversations."""

from __future__ import annotations

import random

from pipeline.common.errors import SettingsError
from pipeline.common.files import read_jsonl, write_json
from pipeline.common.screen import Screen
from pipeline.dialogue.people import persona_of
from pipeline.evaluation.chat_server import ChatServer
from pipeline.evaluation.intervals import Score
from pipeline.evaluation.judging import Judge, Judging
from pipeline.evaluation.reply_cache import FOLDER, moments_of, replies_of
from pipeline.workspace.find_model import find_model
from pipeline.workspace.stages import DIALOGUE_TEXTS, PRETRAINED
from pipeline.workspace.workspace import Workspace

JUDGED, FIGURES = f"{FOLDER}/judged.jsonl", f"{FOLDER}/judge.json"
EXAMPLES = 20  # messages of the person that a pair is shown with


def connect(url: str, model: str, allow_remote: bool) -> ChatServer:
    """The judge; SettingsError when the chat would leave this network without permission."""
    server = ChatServer(url, model)
    if not server.local and not allow_remote:
        raise SettingsError(
            f"{server.where} is not on this machine or its private network, and would be sent "
            f"moments of the test conversations and {EXAMPLES} messages of the person; "
            "--allow-remote allows that."
        )
    return server


def judge(workspace: Workspace, server: ChatServer, screen: Screen) -> None:
    """Ask about every moment of samples.md; write judge.json, and show the result."""
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
        for number in judging.run(moments, replies_of(model, workspace).to, floor):
            bar.to(number)
    scores = judging.scores(workspace.settings.train.seed)
    write_json(workspace.path / FIGURES, scores)
    for name, score in scores.items():
        screen.note(f"{name.replace('_', ' ')}: {one_line(score)}")


def one_line(score: Score) -> str:
    """A score in words."""
    if score["value"] is None:
        return f"none ({score['note']})"
    ends = {"floor": score["floor"], "ceiling": score["ceiling"]}
    shown = "".join(f", {name} {value:g}" for name, value in ends.items() if value is not None)
    return f"{score['value']:g} ({score['low']:g} to {score['high']:g}{shown}; {score['note']})"


def _examples(workspace: Workspace) -> list[str]:
    """Some turns that the person wrote in the training part, the same every time."""
    rows, persona = read_jsonl(workspace.path / DIALOGUE_TEXTS[0]), persona_of(workspace)
    turns = (turn for row in rows for turn in row["turns"] if turn["learned"])
    said = [turn["text"] for turn in turns if turn["speaker"] == persona]
    seed = workspace.settings.train.seed
    return random.Random(seed).sample(said, min(EXAMPLES, len(said)))
