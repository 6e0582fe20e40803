"""Make `model/`, a folder with all that chat.py needs, and swap it in as a whole."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from pathlib import Path

import minbpe
from minbpe.base import Tokenizer
from pipeline.common.files import atomic
from pipeline.dialogue import training_text
from pipeline.dialogue.dialogue_file import read_dialogues
from pipeline.dialogue.people import partners, persona_of
from pipeline.dialogue.template import template_of
from pipeline.dialogue.turns import Turn
from pipeline.serving.model_card import Habits, ModelCard, read_warning, write_warning
from pipeline.serving.rules import AvoidedWords, sampling
from pipeline.workspace.stages import MODEL, TOKENIZER, by_name
from pipeline.workspace.workspace import Workspace, make_private

VOICE_TURNS = 200  # training turns from which on somebody other than the persona has a voice
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

    `bits` is the validation score, `context` the number of tokens it was trained to look back over.
    A warning about the old model stays too, until the new one is evaluated.
    """
    AvoidedWords(workspace.settings.chat.avoid)  # refuses what cannot be avoided, …
    sampling(workspace.settings.chat)  # … or drawn with
    new, final, old = (workspace.path / (MODEL + end) for end in (".new", "", ".previous"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    make_private(new)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(weights / name, new / name)
    shutil.copyfile(workspace.path / TOKENIZER, new / "tokenizer.json")
    card = _model_card(workspace, minbpe.load(new / "tokenizer.json"), context)
    card.write(new)
    with atomic(new / "README.md") as file:
        file.write(README_TEXT.format(persona=card.persona, folder=final.as_posix(), bits=bits))
    write_warning(new, read_warning(final))
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    new.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _model_card(workspace: Workspace, tokenizer: Tokenizer, context: int) -> ModelCard:
    persona = persona_of(workspace)
    ready = workspace.settings.dialogues.source
    conversations = (
        read_dialogues(Path(ready), persona)["train"]
        if ready
        else list(training_text.conversations(workspace, "train"))
    )
    turns = [turn for conversation in conversations for turn in conversation]
    voices = voices_in(turns, persona)
    habits = {
        name: Habits.of((t for t in turns if t.speaker == name), lambda x: len(tokenizer.encode(x)))
        for name in voices
    }
    template = template_of(tokenizer)
    assert template is not None, "stage 3 makes no tokenizer without a template"
    return ModelCard(
        template=template,
        persona=persona,
        partners=partners(workspace),
        voices=voices,
        learned=list(voices) if workspace.settings.dialogues.targets == "all" else [persona],
        habits={name: known for name, known in habits.items() if known},
        # A base model never learned the names, so it cannot say who follows whom.
        follows=_follows(conversations) if workspace.uses_base_weights(by_name("pretrain")) else {},
        last_message=_last_message(workspace),
        chat=workspace.settings.chat,
        context=context,
    )


def voices_in(turns: Iterable[Turn], persona: str) -> dict[str, int]:
    """Who can be imitated, with the number of turns: the persona, then those who say most."""
    counts = Counter(turn.speaker for turn in turns)
    others = {n: c for n, c in counts.most_common() if c >= VOICE_TURNS and n != persona}
    return {persona: counts[persona], **others}


def _follows(conversations: Iterable[list[Turn]]) -> dict[str, dict[str, int]]:
    """How often each speaker's turn is followed by one of each other."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for turns in conversations:
        for turn, following in pairwise(turns):
            counts[turn.speaker][following.speaker] += 1
    return {speaker: dict(each.most_common()) for speaker, each in counts.items()}


def _last_message(workspace: Workspace) -> date | None:
    """The day of the newest message."""
    messages = workspace.chat.messages() if workspace.settings.source.export else ()
    return max(message.time for message in messages).date() if messages else None
