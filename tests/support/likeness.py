"""An untrained model folder, and a workspace with one and a test part."""

from __future__ import annotations

import json
from pathlib import Path

import torch

import minbpe
from minbpe import RegexTokenizer
from pipeline.dialogue.template import SPECIAL
from pipeline.workspace.workspace import Workspace
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.io import save

BLOCK = 96
TEXT = "good morning ben how are you today lol maybe\n" * 5


def babbler(
    folder: Path, seed: int = 3, persona: str = "Ana", layers: int = 1, **partners: int
) -> Path:
    """A model folder that was never trained; its replies are random text."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = RegexTokenizer.train(TEXT, 290, special=SPECIAL)
    torch.manual_seed(seed)
    config = ModelConfig(
        vocab_size=tokenizer.size, block=BLOCK, width=32, layers=layers, heads=2, dropout=0.0
    )
    decoder = Decoder(config)
    for parameter in decoder.parameters():
        parameter.data *= 3  # so that the text differs from draw to draw
    save(decoder, folder)
    minbpe.save(tokenizer, folder / "tokenizer.json")
    card = {
        "version": 1,
        "template": "turns-1",
        "persona": persona,
        "partners": partners or {"Ben": 9},
        "sampling": {"max_tokens": 12, "temperature": 1.0},
    }
    (folder / "chat.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


def row(*said: str, persona: str = "Ana") -> dict:
    """A test example: `Ben: hi` and so on; the persona's turns are learned."""
    turns = []
    for line in said:
        speaker, _, text = line.partition(": ")
        turns.append({"speaker": speaker, "text": text, "learned": speaker == persona})
    return {"turns": turns, "bytes": 1}


def workspace(path: Path, rows: list[dict], **settings: object) -> Workspace:
    """A workspace with a model, its base, and this test part."""
    changes = {"source.persona": "Ana", **settings}
    made = Workspace.make(path, changes)
    babbler(path / "model")
    babbler(path / "5_pretrained/best", seed=4)
    for part, some in (("train", [row("Ben: hi", "Ana: hey you\nall good?")]), ("test", rows)):
        lines = path / f"6_dialogues/{part}.jsonl"
        lines.parent.mkdir(exist_ok=True)
        lines.write_text("".join(json.dumps(r) + "\n" for r in some), encoding="utf-8")
    return made
