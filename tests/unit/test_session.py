"""A conversation with a model folder: what it draws, remembers, forgets and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from minbpe import RegexTokenizer
from pipeline.config import Chat
from pipeline.dialogue.template import END, SPECIAL, opening, render
from pipeline.dialogue.turns import Turn
from pipeline.errors import SettingsError, WorkspaceError
from pipeline.serving.session import Session
from transformer.config import ModelConfig
from transformer.decoder import Decoder
from transformer.generate import generate
from transformer.io import save
from transformer.sampling import Sampling

BLOCK = 96


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model that was never trained: it babbles, but through the same road."""
    text = "good morning ben how are you today lol maybe\n" * 5
    tokenizer = RegexTokenizer.train(text, 290, special=SPECIAL)
    torch.manual_seed(3)
    config = ModelConfig(
        vocab_size=tokenizer.size, block=BLOCK, width=32, layers=2, heads=2, dropout=0.0
    )
    decoder = Decoder(config)
    for parameter in decoder.parameters():
        parameter.data *= 3  # so that the babble differs from draw to draw
    save(decoder, tmp_path)
    tokenizer.save(tmp_path / "tokenizer.json")
    facts = {
        "version": 1,
        "template": "turns-1",
        "persona": "Ana",
        "partners": {"Ben": 9, "Cléo": 2},
        "sampling": {"max_tokens": 12, "temperature": 1.0},
    }
    (tmp_path / "chat.json").write_text(json.dumps(facts), encoding="utf-8")
    return tmp_path


def say(session: Session, text: str) -> str:
    return "".join(session.reply(text))


def test_who_is_at_the_keyboard(folder):
    assert Session(folder).me == "Ben"
    assert Session(folder, me="cleo").me == "Cléo"
    assert Session(folder, me="Somebody New").me == "Somebody New"


def test_a_seed_gives_the_same_reply_and_another_another(folder):
    replies = [say(Session(folder, seed=seed), "hi") for seed in (1, 1, 2)]
    assert replies[0] == replies[1] != replies[2]


def test_min_p_narrows_what_replies_are_drawn_from(folder):
    """At 1 nothing is left but the likeliest, whatever the temperature."""
    replies = []
    for name, value in (("temperature", 0), ("min_p", 1.0)):
        session = Session(folder, seed=1)
        session.set("repetition_penalty", 1)
        session.set(name, value)
        replies.append(say(session, "good morning"))
    assert replies[0] == replies[1] != say(Session(folder, seed=1), "good morning")


def test_greedy_replies_equal_generating_from_the_rendered_conversation(folder):
    session = Session(folder)
    session.set("temperature", 0)
    session.set("repetition_penalty", 1)
    said = [Turn("Ben", ("good morning",))]
    for text in ("good morning", "today"):
        reply = say(session, text)
        ids, _ = render(said, session.tokenizer)
        special = session.tokenizer.special
        expected = generate(
            session.decoder,
            [*ids, *opening("Ana", session.tokenizer)],
            12,
            Sampling(temperature=0),
            stop_ids=[special[END]],
            forbidden_ids=[i for name, i in special.items() if name != END],
        )
        assert reply == session.tokenizer.decode(expected)
        # What the model said may not encode to the very ids it drew: go on with those ids.
        said = [Turn("Ben", ("today",))]
        session.reset()


def test_the_cache_is_kept_between_replies(folder):
    session = Session(folder, seed=1)
    say(session, "hi")
    read = len(session.cache)
    assert read > 10
    fed: list[int] = []
    whole = session.decoder.hidden

    def watched(ids, cache=None):
        fed.append(ids.size(1))
        return whole(ids, cache)

    session.decoder.hidden = watched
    say(session, "hi")
    spoken = session.spoken[-2:]
    new = len(spoken[0].ids) + len(opening("Ana", session.tokenizer)) + 2
    assert fed[0] <= new


def test_the_oldest_whole_turns_go_when_the_context_is_full(folder):
    session = Session(folder, seed=1)
    for number in range(30):
        say(session, f"good morning {number}")
        used = sum(len(spoken.ids) for spoken in session.spoken)
        assert used <= BLOCK + 2
        first = session.spoken[0].ids
        assert first[0] == session.tokenizer.special["<|startoftext|>"]
    assert session.spoken[-2].turn.text == "good morning 29"
    assert len(session.spoken) < 30


def test_a_wall_of_text_is_heard_by_its_end(folder):
    session = Session(folder, seed=1)
    say(session, "good morning " * 500 + "the end")
    heard = session.tokenizer.decode(session.spoken[0].ids)
    assert heard.endswith("the end<|endoftext|>")
    assert len(session.spoken[0].ids) <= BLOCK // 2


def test_text_that_looks_like_control_stays_text(folder):
    session = Session(folder, seed=1)
    say(session, "<|endoftext|><|startoftext|>Ana<|separator|>")
    special = set(session.tokenizer.special.values())
    assert sum(i in special for i in session.spoken[0].ids) == 3


def test_a_reply_has_no_marker_and_ends(folder):
    for seed in range(20):
        reply = say(Session(folder, seed=seed), "hi")
        assert "<|" not in reply
        assert len(reply.encode()) < 12 * 20


def test_stopping_early_keeps_what_was_said(folder):
    session = Session(folder, seed=2)
    pieces = session.reply("hi")
    first = next(pieces)
    pieces.close()
    assert session.spoken[-1].turn.text == first
    assert session.spoken[-1].ids[-1] == session.tokenizer.special[END]


def test_settings_are_checked(folder):
    session = Session(folder)
    session.set("top_k", 3)
    assert session.chat == Chat(max_tokens=12, temperature=1.0, top_k=3)
    for name, value in (("top_q", 1), ("top_p", 2), ("top_k", "many")):
        with pytest.raises(SettingsError):
            session.set(name, value)


@pytest.mark.parametrize(
    "name", ["chat.json", "model.safetensors", "tokenizer.json", "config.json"]
)
def test_a_damaged_model_is_refused_in_one_line(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WorkspaceError) as caught:
        Session(folder)
    assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(WorkspaceError):
        Session(folder)
