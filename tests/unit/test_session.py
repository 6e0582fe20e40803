"""A conversation with a model folder: what it draws, remembers, forgets and refuses."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path

import pytest
import torch
from likeness import BLOCK, TEXT, babbler

import minbpe
from minbpe import RegexTokenizer
from pipeline.common.errors import DataError, SettingsError, WorkspaceError
from pipeline.dialogue.template import END, closing, opening, render
from pipeline.dialogue.turns import Turn
from pipeline.serving import group
from pipeline.serving.group import group_replies, next_speaker
from pipeline.serving.model_card import write_warning
from pipeline.serving.rules import AvoidedWords
from pipeline.serving.session import Session
from pipeline.workspace.settings import Chat
from transformer.generate import Sampling, generate


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model that was never trained: it babbles, but in the same way as any other."""
    return babbler(tmp_path, layers=2, Ben=9, Cléo=2)


def change(folder: Path, sampling=(), **facts) -> None:
    """Other facts in the model's chat.json."""
    path = folder / "chat.json"
    rows = json.loads(path.read_text(encoding="utf-8")) | facts
    rows["sampling"] |= dict(sampling)
    path.write_text(json.dumps(rows), encoding="utf-8")


def say(session: Session, text: str) -> str:
    return "".join(session.reply(text))


def test_who_is_at_the_keyboard(folder):
    assert Session(folder).me == "Ben"
    assert Session(folder, me="cleo").me == "Cléo"
    assert Session(folder, me="Somebody New").me == "Somebody New"
    for name in ("Ana", "ana"):
        with pytest.raises(DataError, match="Ana is who answers"):
            Session(folder, me=name)


def test_a_seed_gives_the_same_reply_and_another_another(folder):
    replies = [say(Session(folder, seed=seed), "hi") for seed in (1, 1, 2)]
    assert replies[0] == replies[1] != replies[2]


def test_a_voice_is_chosen_and_answers_in_its_own_name(folder):
    change(folder, voices={"Ana": 300, "Ben": 250, "Cléo": 220})
    session = Session(folder, seed=1, voice="cleo")
    assert (session.voice, session.me, session.persona) == ("Cléo", "Ben", "Ana")
    session.imitate("ben")
    assert (session.voice, session.me) == ("Ben", "Cléo")
    say(session, "hi")
    assert session.spoken[-1].turn.speaker == "Ben"
    begins = opening("Ben", session.tokenizer)
    assert session.spoken[-1].ids[: len(begins)] == begins
    with pytest.raises(DataError, match=r"not enough of Dan to imitate; voices are Ana \(300\)"):
        session.imitate("Dan")


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


def test_it_looks_back_as_far_as_it_learned_to(folder):
    change(folder, context=48)
    session = Session(folder, seed=1)
    for number in range(9):
        say(session, f"hi {number}")
        assert sum(len(spoken.ids) for spoken in session.spoken) <= 48 + 2
    assert [turn.text for turn in session.history[::2]] == [f"hi {n}" for n in range(9)]
    session.reset()
    assert session.history == []


def test_nothing_said_leaves_no_turn_behind(folder, monkeypatch):
    session = Session(folder, seed=1)
    monkeypatch.setattr(session, "_generate", lambda *_: iter(()))
    assert say(session, "hi") == ""
    assert session.spoken[-1].ids == []
    assert session.spoken[-1].turn.speaker == "Ana"


def test_several_messages_are_one_turn(folder):
    session = Session(folder, seed=1)
    list(session.reply("hi", "are you there?"))
    assert session.spoken[0].turn == Turn("Ben", ("hi", "are you there?"))


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
    for name, value in (
        ("top_q", 1),
        ("top_p", 2),
        ("top_k", "many"),
        ("top_p", 0),
        ("temperature", math.nan),
    ):
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


@pytest.mark.parametrize("avoided", [("o",), ("e", "a b"), tuple("abcdefghijklmnopqrstuvwxyz")])
def test_an_avoided_word_never_comes(folder, avoided):
    session = Session(folder)

    def replies() -> list[str]:
        said = []
        for seed in range(30):
            session.reset()
            session.generator.manual_seed(seed)
            said.append(say(session, "hi"))
        return said

    free = replies()
    session.set("avoid", avoided)
    bound = replies()
    avoid = AvoidedWords(avoided)
    assert any(avoid.find(reply, complete=True) is not None for reply in free)
    assert all(avoid.find(reply, complete=True) is None for reply in bound)
    assert any(bound)


def test_what_is_avoided_can_be_set_in_the_chat(folder):
    session = Session(folder, seed=1)
    session.set("avoid", ["good"])
    assert session.avoid.find("Good morning", complete=True) == 0
    with pytest.raises(SettingsError):
        session.set("avoid", ["..."])


def test_the_ids_in_the_context_are_those_of_what_was_shown(folder):
    change(folder, sampling={"avoid": list("aeiou")})
    for seed in range(20):
        session = Session(folder, seed=seed)
        reply = say(session, "hi")
        inner = session.spoken[-1].ids[len(opening("Ana", session.tokenizer)) : -1]
        assert session.tokenizer.decode(inner).lstrip() == reply


def test_an_empty_reply_is_drawn_again_three_times(folder, monkeypatch):
    session = Session(folder, seed=1)
    drawn = []

    def generate(decoder, context, most, *args, **kwargs):
        drawn.append(most)
        yield from session.tokenizer.encode(" " if len(drawn) < limit else "yes")

    monkeypatch.setattr("pipeline.serving.session.generate", generate)
    monkeypatch.setattr(session, "_generate", lambda c, most, banned=(): generate(None, c, most))
    limit = 7
    assert say(session, "hi").startswith("yes")
    drawn.clear()
    limit = 1000
    assert say(session, "hi") == ""
    assert len(drawn) == 2 * 4  # the first id is drawn by itself


def test_auto_is_as_long_as_the_person(folder):
    habits = {"characters": [3, 9], "messages": [1, 2], "tokens": 17}
    change(folder, sampling={"max_tokens": "auto"}, habits={"Ana": habits})
    for seed in range(20):
        session = Session(folder, seed=seed)
        reply = say(session, "hi")
        assert len(session.spoken[-1].ids) <= 17 + len(opening("Ana", session.tokenizer)) + 1
        assert sum(bool(line.strip()) for line in reply.split("\n")) <= 2


def test_what_goes_with_a_model(folder):
    assert Session(folder).card.last_message is None
    change(folder, last_message="2024-03-31")
    write_warning(folder, "It repeats its chat.")
    session = Session(folder)
    assert session.card.last_message == date(2024, 3, 31)
    assert session.warning == "It repeats its chat."


def test_the_next_speaker_is_whom_the_model_would_have_open_the_turn(folder):
    change(folder, voices={"Ana": 300, "Ben": 250, "Cléo": 220})
    session = Session(folder, seed=1, me="Dan")
    before = next_speaker(session)
    assert list(before) == ["Ana", "Ben", "Cléo", "Dan"]
    assert sum(before.values()) == pytest.approx(1)
    say(session, "hi")
    chances = next_speaker(session)
    context = [i for spoken in session.spoken for i in spoken.ids]
    scores = []
    for name in chances:
        ids = [*context, *opening(name, session.tokenizer)]
        shares = session.decoder(torch.tensor([ids]))[0].log_softmax(-1)
        scores.append(sum(shares[n - 1, ids[n]] for n in range(len(context), len(ids))))
    expected = torch.stack(scores).softmax(0).tolist()
    assert list(chances.values()) == pytest.approx(expected, rel=1e-3)


def test_where_names_were_never_learned_the_chat_says_who_follows(folder):
    follows = {"Ben": {"Ana": 7, "Cléo": 1}}
    change(folder, voices={"Ana": 300, "Ben": 250, "Cléo": 220}, follows=follows)
    session = Session(folder, seed=1)
    assert set(next_speaker(session).values()) == {1 / 3}
    session.hear(Turn("Ben", ("hi",)))
    assert next_speaker(session) == {"Ana": 8 / 11, "Ben": 1 / 11, "Cléo": 2 / 11}


def test_two_are_no_group(folder):
    with pytest.raises(DataError, match="Ana and Ben"):
        next_speaker(Session(folder))


def test_others_answer_until_it_is_ones_own_turn(folder, monkeypatch):
    change(folder, voices={"Ana": 300, "Ben": 250, "Cléo": 220})
    session = Session(folder, seed=1)
    script = ["Cléo", "Ana", "Ben", "Ana"]
    names = ("Ana", "Ben", "Cléo")
    session.hear(Turn("Ben", ("hi",)))
    monkeypatch.setattr(
        group, "next_speaker", lambda _: {n: float(n == script[0]) for n in names} | {"x": 0.0}
    )
    heard = []
    for speaker, pieces in group_replies(session):
        heard.append((speaker, "".join(pieces)))
        del script[0]
    assert [speaker for speaker, _ in heard] == ["Cléo", "Ana"]
    assert [s.turn.speaker for s in session.spoken] == ["Ben", "Cléo", "Ana"]
    assert (session.voice, session.me) == ("Ana", "Ben")


def test_a_group_does_not_go_on_for_ever(folder, monkeypatch):
    change(folder, voices={"Ana": 300, "Ben": 250, "Cléo": 220})
    session = Session(folder, seed=1)
    session.hear(Turn("Ben", ("hi",)))
    monkeypatch.setattr(group, "next_speaker", lambda _: {"Ana": 0.5, "Cléo": 0.5, "Ben": 0.0})
    for _, pieces in group_replies(session):
        "".join(pieces)
    speakers = [spoken.turn.speaker for spoken in session.spoken[1:]]
    assert speakers in (["Ana", "Cléo", "Ana", "Cléo"], ["Cléo", "Ana", "Cléo", "Ana"])


@pytest.fixture
def chatml(folder) -> Path:
    """The same model in a base's markers, of which two follow a text."""
    markers = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|a|>", "<|b|>")
    tokenizer = RegexTokenizer.train(TEXT, 290, special=markers)
    minbpe.save(tokenizer, folder / "tokenizer.json")
    change(folder, template="chatml")
    return folder


def test_a_bases_turns_stay_whole_when_the_oldest_go(chatml):
    session = Session(chatml, seed=1)
    start, end = (session.tokenizer.special[n] for n in ("<|im_start|>", "<|im_end|>"))
    for number in range(30):
        say(session, f"good morning {number}" * (1 + 20 * (number % 3)))
        assert sum(len(spoken.ids) for spoken in session.spoken) <= BLOCK + 2
        for spoken in session.spoken:
            assert spoken.ids[0] == start
            assert spoken.ids[-2:] == closing(session.tokenizer)
            assert spoken.ids.count(end) == 1
    assert len(session.spoken) < 30
