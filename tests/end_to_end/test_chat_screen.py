"""The chat as a person sees it: typed lines in, the whole screen out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.config import Chat
from pipeline.dialogue.turns import Turn
from pipeline.errors import SettingsError
from pipeline.serving.terminal import Terminal, once


class Scripted:
    """A session whose replies are known."""

    def __init__(self, *replies: list[str]) -> None:
        self.replies = list(replies)
        self.persona, self.me = "Ana", "Ben"
        self.partners = {"Ben": 9, "Cleo": 2}
        self.folder = Path("workspaces/ana/model")
        self.chat = Chat()
        self.spoken: list[SimpleNamespace] = []
        self.closed_early = False
        config = SimpleNamespace(layers=4, block=256)
        self.decoder = SimpleNamespace(config=config, parameters=list)

    def speak_as(self, name: str) -> None:
        self.me = name

    def reset(self) -> None:
        self.spoken = []

    def set(self, name, value) -> None:
        if name != "temperature":
            raise SettingsError(f"There is no {name}; settings are temperature.")
        self.chat = Chat(temperature=float(value))

    def reply(self, text: str) -> Iterator[str]:
        self.spoken.append(SimpleNamespace(turn=Turn(self.me, (text,))))
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
            self.spoken.append(SimpleNamespace(turn=Turn("Ana", ("".join(said),))))


@pytest.fixture
def talk(console):
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
        "This is a model's imitation of Ana, not Ana. You are Ben (/me NAME changes it). "
        "/help lists the commands.\n"
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
    for name in ("/help", "/me", "/persona", "/set", "/reset", "/save", "/quit"):
        assert name in screen
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
    assert "(Ctrl-D or /quit leaves)" in talk(Scripted(["hello"]), "^C", "hi")


def test_silence_is_said(talk):
    assert "(Ana says nothing)" in talk(Scripted([]), "hi")


def test_once_prints_the_reply_alone(console):
    once(Scripted([" wakha", "\nsafi "]), "hi", console)
    assert console.file.getvalue() == "wakha\nsafi\n"
