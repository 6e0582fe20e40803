"""The chat as a person sees it: typed lines in, the whole screen out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline.common.errors import DataError, SettingsError
from pipeline.dialogue.turns import Turn
from pipeline.serving import group, terminal
from pipeline.serving.terminal import HELP, Terminal, once
from pipeline.workspace.settings import Chat


class Scripted:
    """A session whose replies are known."""

    def __init__(self, *replies: list[str]) -> None:
        self.replies = list(replies)
        self.persona, self.voice, self.me = "Ana", "Ana", "Ben"
        self.voices = {"Ana": 3000, "Cleo": 400}
        self.card = SimpleNamespace(last_message=date(2024, 3, 31), learned=["Ana"])
        self.warning = ""
        self.next: list[str] = []
        self.partners = {"Ben": 9, "Cleo": 2}
        self.folder = Path("workspaces/ana/model")
        self.chat = Chat()
        self.spoken: list[SimpleNamespace] = []
        self.closed_early = False
        config = SimpleNamespace(layers=4)
        self.room = 256
        self.generator = torch.Generator()
        self.decoder = SimpleNamespace(config=config, parameters=list)

    def imitate(self, name: str) -> None:
        if name not in self.voices:
            raise DataError(f"There is not enough of {name} to imitate.")
        self.voice = name

    def next_speaker(self) -> dict[str, float]:
        if not self.next:
            raise DataError("Nobody but Ana and Ben.")
        return {self.next[0]: 1.0}

    def hear(self, turn: Turn) -> None:
        self.spoken.append(SimpleNamespace(turn=turn))

    def speak_as(self, name: str) -> None:
        self.me = name

    def reset(self) -> None:
        self.spoken = []

    def set(self, name, value) -> None:
        if name != "temperature":
            raise SettingsError(f"There is no {name}; settings are temperature.")
        self.chat = Chat(temperature=float(value))

    def reply(self, *messages: str) -> Iterator[str]:
        self.hear(Turn(self.me, messages))
        return self.answer()

    @property
    def history(self) -> list[Turn]:
        return [spoken.turn for spoken in self.spoken]

    def answer(self) -> Iterator[str]:
        said = []
        try:
            for piece in self.replies.pop(0):
                if piece == "^C":
                    raise KeyboardInterrupt
                said.append(piece)
                yield piece
        except GeneratorExit:
            self.closed_early = True
        finally:
            self.hear(Turn(self.voice, ("".join(said),)))
            del self.next[:1]


@pytest.fixture
def talk(console, monkeypatch):
    for module in (group, terminal):
        monkeypatch.setattr(module, "next_speaker", lambda session: session.next_speaker())

    def run(session: Scripted, *typed: str) -> str:
        lines = iter(typed)

        def read(prompt: str) -> str:
            line = next(lines, None)
            console.print(prompt + (line or ""))
            if line is None:
                raise EOFError
            if line == "^C":
                raise KeyboardInterrupt
            return line

        Terminal(session, console, read).run()
        return console.file.getvalue()

    return run


def test_a_burst_comes_as_several_bubbles(talk):
    screen = talk(Scripted(["wa", "kha", "\nsa", "fi 😂\n", "\nyalla"]), "are you up?")
    assert screen == (
        "This is a model's imitation of Ana, not Ana. It knows the chat until March 2024. "
        "You are Ben (/me NAME changes it). /help lists the commands.\n"
        "Ben: are you up?\n"
        "Ana: wakha\n"
        "Ana: safi 😂\n"
        "Ana: yalla\n"
        "Ben: \n\n"
    )


def test_brackets_in_a_reply_are_text(talk):
    assert "Ana: [bold]no[/bold] :smile:" in talk(Scripted(["[bold]no[/bold] :smile:"]), "hi")


def test_commands(talk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = Scripted(["hello"])
    screen = talk(
        session, "hi", "/help", "/me Cleo", "/me", "/persona", "/set temperature 0.5",
        "/set top_q 1", "/save talk.txt", "/reset", "/dance", "/quit", "never read",
    )  # fmt: skip
    assert HELP in screen
    assert "You are Cleo. In the chat: Ben, Cleo." in screen
    assert "imitated by a decoder of 0.0 M parameters (4 layers, context 256 tokens)" in screen
    assert "temperature = 0.5" in screen
    assert "There is no top_q" in screen
    assert Path("talk.txt").read_text(encoding="utf-8") == "Ben: hi\nAna: hello\n"
    assert session.spoken == []
    assert "There is no /dance" in screen
    assert "never read" not in screen


def test_saving_where_nothing_can_be_saved_is_said(talk, tmp_path):
    (tmp_path / "file").touch()
    assert "Could not write" in talk(Scripted(), f"/save {tmp_path}/file/talk.txt")


def test_ctrl_c_stops_a_reply_and_the_chat_goes_on(talk):
    session = Scripted(["so I was", "^C", "never said"], ["fine"])
    screen = talk(session, "tell me", "and?")
    assert "Ana: so I was …\n" in screen
    assert "never said" not in screen
    assert "Ana: fine" in screen


def test_ctrl_c_at_the_prompt_only_says_how_to_leave(talk):
    assert "(/quit leaves)" in talk(Scripted(["hello"]), "^C", "hi")


@pytest.mark.parametrize("typed", ["\x04", "\x1a", "/quit"])
def test_an_end_of_input_that_arrives_as_text_leaves(talk, typed):
    assert "Ana: hello" not in talk(Scripted(["hello"]), typed, "hi")


def test_a_backslash_sends_another_message_before_the_answer(talk):
    session = Scripted(["hello"])
    talk(session, "are you there \\", "\\", "hey", "/quit")
    assert session.spoken[0].turn == Turn("Ben", ("are you there", "hey"))
    assert len(session.spoken) == 2


def test_ctrl_c_while_it_is_found_out_who_speaks_goes_on(talk):
    session = Scripted(["hello"])

    def next_speaker():
        raise KeyboardInterrupt

    session.next_speaker = next_speaker
    screen = talk(session, "/group on", "hi", "/help")
    assert "/save" in screen


def test_saving_replaces_no_file(talk, tmp_path):
    path = tmp_path / "talk.txt"
    path.write_text("mine", encoding="utf-8")
    assert "is there already" in talk(Scripted(["hello"]), "hi", f"/save {path}")
    assert path.read_text(encoding="utf-8") == "mine"
    talk(Scripted(["hello"]), "hi", f"/save {tmp_path / 'new.txt'}")
    assert (tmp_path / "new.txt").read_text(encoding="utf-8") == "Ben: hi\nAna: hello\n"
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o600


def test_silence_is_said(talk):
    assert "(Ana says nothing)" in talk(Scripted([]), "hi")


def test_once_prints_the_reply_alone(console):
    once(Scripted([" wakha", "\nsafi "]), "hi", console)
    assert console.file.getvalue() == "wakha\nsafi\n"


IMITATION = "This is a model's imitation of Ana, not Ana."


def test_whatever_the_opening_says_that_it_is_a_model_stays(talk):
    session = Scripted()
    session.chat = Chat(opening="For the evenings.")
    session.warning = "It repeats its chat."
    first = talk(session).splitlines()[:3]
    assert first[0] == "For the evenings."
    assert first[1].startswith(IMITATION)
    assert first[2] == "Warning: It repeats its chat."


@pytest.mark.parametrize(
    ("farewell", "said"), [("Good night.", "Good night."), ("", "by deleting the folder")]
)
def test_stop_says_farewell_and_leaves(talk, farewell, said):
    session = Scripted()
    session.chat = Chat(farewell=farewell)
    screen = talk(session, "/stop", "never read")
    assert said in screen.splitlines()[-1]
    assert "never read" not in screen


def test_quit_leaves_without_a_word(talk):
    assert talk(Scripted(), "/quit", "never read").endswith("Ben: /quit\n")


def test_other_voices(talk):
    screen = talk(Scripted(["hello"]), "/as", "/as Cleo", "hi", "/as Dan")
    assert "Voices, with the turns that were learned from: Ana (3,000), Cleo (400)." in screen
    assert "This is a model's imitation of Cleo, not Cleo. You are Ben." in screen
    passing = "learned the voice of Ana; of the others it has only what it saw in passing."
    assert screen.count(passing) == 2
    assert "Cleo: hello" in screen
    assert "not enough of Dan" in screen


def test_when_everybody_was_learned_nobody_was_in_passing(talk):
    session = Scripted()
    session.card.learned = ["Ana", "Cleo"]
    assert "in passing" not in talk(session, "/as", "/as Cleo")


def test_a_group_answers_until_it_is_ones_own_turn(talk):
    session = Scripted(["hello"], ["hi Ben", "\nall well?"])
    session.next = ["Cleo", "Ana", "Ben"]
    screen = talk(session, "/group on", "hi", "/group", "/group maybe", "/group off")
    assert screen.endswith(
        "Ben: hi\nCleo: hello\nAna: hi Ben\nAna: all well?\n"
        "Ben: /group\nThe others answer too, when the model would have it.\n"
        "Ben: /group maybe\n/group on, or /group off.\n"
        "Ben: /group off\nOnly Ana answers.\nBen: \n\n"
    )


def test_ctrl_c_in_a_group_stops_all_who_would_answer(talk):
    session = Scripted(["so I", "^C"], ["never said"])
    session.next = ["Cleo", "Ana", "Ben"]
    screen = talk(session, "/group on", "hi")
    assert "Cleo: so I …" in screen
    assert "never said" not in screen


def test_two_are_no_group(talk):
    screen = talk(Scripted(["hello"]), "/group on", "hi")
    assert "Nobody but Ana and Ben." in screen
    assert "Ana: hello" in screen
