"""The road with somebody else's tokenizer, as a pretrained base will bring it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests_support import SMALL, chat_lines
from tokenizer_files import gpt2_like, llama_like

import minbpe
from minbpe import PretrainedTokenizer
from minbpe.io.tokenizer_json import dump_json
from pipeline.__main__ import main
from pipeline.dialogue.template import SPECIAL
from pipeline.serving.session import Session


@pytest.mark.parametrize("made", [gpt2_like, llama_like], ids=["byte-level", "fallback"])
def test_later_stages_and_the_chat_cannot_tell(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("chat.txt").write_text(chat_lines(40), encoding="utf-8")
    space = Path("workspaces/ben")
    assert main(["1", "--export", "chat.txt", "--persona", "ben", *SMALL]) == 0
    tokenizer = PretrainedTokenizer(dump_json(made())).with_special(SPECIAL)
    (space / "start").mkdir()
    minbpe.save(tokenizer, space / "start/tokenizer.json")
    assert main(["2-7"]) == 0
    counts = json.loads((space / "3_tokenizer/stage.json").read_text("utf-8"))["counts"]
    assert counts["tokens"] == tokenizer.size
    session = Session(space / "model", seed=1)
    assert session.decoder.config.vocab_size == tokenizer.size
    said = "".join(session.reply("good morning"))
    assert said == said.lstrip(" ")
    assert session.spoken[0].ids[-1] == tokenizer.special["<|endoftext|>"]
