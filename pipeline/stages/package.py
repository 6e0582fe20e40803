"""Make `model/`: a folder that holds all that chat.py needs, swapped in as a whole."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import minbpe
from minbpe.base import Tokenizer
from pipeline.common.files import atomic, read_jsonl, write_json
from pipeline.dialogue import training_text
from pipeline.dialogue.dialogue_file import read_dialogues
from pipeline.dialogue.people import partners, persona_of
from pipeline.dialogue.template import template_of
from pipeline.dialogue.turns import Turn
from pipeline.serving.avoid import Avoid
from pipeline.serving.habits import Habits, voices
from pipeline.serving.model_card import CHAT
from pipeline.serving.rules import sampling
from pipeline.serving.warning import flag, warning_of
from pipeline.workspace.stages import CLEAN, MODEL, TOKENIZER, by_name
from pipeline.workspace.workspace import Workspace, make_private

README_TEXT = """\
# A model that writes like {persona}

Made by Soundalike from a private chat. Talk with it: `python chat.py {folder}`.

- It imitates a way of writing. It is not {persona}, knows nothing that {persona} knows, and makes
  things up.
- It can repeat sentences from the chat it learned from: share this folder only with people who may
  read that chat.
- Validation: {bits:.3f} bits per byte on replies it was not trained on (lower is better).

`config.json` and `model.safetensors` are the decoder, `tokenizer.json` its vocabulary, `chat.json`
who speaks and how replies are drawn. Nothing else is needed, and nothing is ever sent anywhere.
"""


def package(workspace: Workspace, weights: Path, bits: float, context: int) -> None:
    """Build the folder beside the old one, then swap; the old one stays until the new is whole.

    `bits` is what it reached in validation, `context` how many tokens it learned to look back over.
    A warning about the old model stays too, until the new one is evaluated.
    """
    Avoid(workspace.settings.chat.avoid)  # refuses what cannot be avoided, …
    sampling(workspace.settings.chat)  # … or drawn
    new, final, old = (workspace.path / (MODEL + end) for end in (".new", "", ".previous"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    make_private(new)
    persona = persona_of(workspace)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(weights / name, new / name)
    shutil.copyfile(workspace.path / TOKENIZER, new / "tokenizer.json")
    facts = _facts(workspace, persona, minbpe.load(new / "tokenizer.json"))
    write_json(new / CHAT, {**facts, "context": context})
    with atomic(new / "README.md") as file:
        file.write(README_TEXT.format(persona=persona, folder=final.as_posix(), bits=bits))
    flag(new, warning_of(final))
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    new.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _facts(workspace: Workspace, persona: str, tokenizer: Tokenizer) -> dict[str, Any]:
    """What chat.json says."""
    conversations = list(_conversations(workspace, persona))
    turns = [turn for conversation in conversations for turn in conversation]
    found = voices(turns, persona)
    habits = {
        name: Habits.of((t for t in turns if t.speaker == name), lambda x: len(tokenizer.encode(x)))
        for name in found
    }
    everybody = workspace.settings.dialogues.targets == "all"
    return {
        "version": 1,
        "template": template_of(tokenizer),
        "persona": persona,
        "partners": partners(workspace, persona),
        "voices": found,
        "learned": list(found) if everybody else [persona],
        "habits": {name: asdict(found) for name, found in habits.items() if found},
        # Where the names were never learned, who follows whom is not the model's to say.
        "follows": _follows(conversations) if workspace.adopts(by_name("pretrain")) else {},
        "last_message": _last_message(workspace),
        "sampling": asdict(workspace.settings.chat),
    }


def _conversations(workspace: Workspace, persona: str) -> Iterable[list[Turn]]:
    """Those of the training part."""
    ready = workspace.settings.dialogues.source
    if ready:
        return read_dialogues(Path(ready), persona)["train"]
    return training_text.conversations(workspace, "train")


def _follows(conversations: Iterable[list[Turn]]) -> dict[str, dict[str, int]]:
    """How often each speaker's turn is followed by one of each other."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for turns in conversations:
        for turn, following in pairwise(turns):
            found[turn.speaker][following.speaker] += 1
    return {speaker: dict(counts.most_common()) for speaker, counts in found.items()}


def _last_message(workspace: Workspace) -> str | None:
    """The day of the newest message, as 2024-03-31."""
    path = workspace.path / CLEAN
    known = path.exists() and workspace.settings.source.export
    days = (row["time"][:10] for row in read_jsonl(path)) if known else iter(())
    return max(days, default=None)
