"""Make `model/`: a folder that holds all that chat.py needs, swapped in as a whole."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import minbpe
from pipeline.dialogue.template import template_of
from pipeline.files import atomic, write_json
from pipeline.persona import partners, persona_of
from pipeline.stages import MODEL, TOKENIZER
from pipeline.workspace import Workspace, make_private

CHAT = "chat.json"

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


def package(workspace: Workspace, weights: Path, bits: float) -> None:
    """Build the folder beside the old one, then swap; the old one stays until the new is whole."""
    new, final, old = (workspace.path / (MODEL + end) for end in (".new", "", ".previous"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    make_private(new)
    persona = persona_of(workspace)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(weights / name, new / name)
    shutil.copyfile(workspace.path / TOKENIZER, new / "tokenizer.json")
    write_json(
        new / CHAT,
        {
            "version": 1,
            "template": template_of(minbpe.load(new / "tokenizer.json")),
            "persona": persona,
            "partners": partners(workspace, persona),
            "sampling": asdict(workspace.settings.chat),
        },
    )
    with atomic(new / "README.md") as file:
        file.write(README_TEXT.format(persona=persona, folder=final.as_posix(), bits=bits))
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    new.rename(final)
    shutil.rmtree(old, ignore_errors=True)
