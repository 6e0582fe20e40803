"""The chat in the terminal: bubbles, commands, Ctrl-C to cut a reply short, Ctrl-D to leave."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pipeline.errors import SoundalikeError
from pipeline.files import atomic
from pipeline.serving.session import Session
from pipeline.settings import parse_value

HELP = """\
/help             this list
/me NAME          who you are in this conversation
/persona          who is imitated, and by what
/set              how replies are drawn; /set temperature 0.5 changes it
/reset            start a new conversation
/save [FILE]      write the conversation to a text file
/quit             leave (Ctrl-D too); Ctrl-C cuts a reply short"""


class Terminal:
    """Reads lines, prints bubbles. `read` and `console` are handed in so that tests can watch."""

    def __init__(
        self, session: Session, console: Console, read: Callable[[str], str] = input
    ) -> None:
        self.session, self.console, self.read = session, console, read
        self.commands: dict[str, Callable[[str], None]] = {
            "help": lambda _: self.tell(HELP),
            "me": self.me,
            "persona": lambda _: self.persona(),
            "set": self.set,
            "reset": lambda _: self.reset(),
            "save": self.save,
        }

    def run(self) -> None:
        """Talk until /quit or Ctrl-D."""
        self.greet()
        while True:
            try:
                line = self.read(f"{self.session.me}: ").strip()
            except EOFError:
                self.console.print()
                return
            except KeyboardInterrupt:
                self.tell("\n(Ctrl-D or /quit leaves)")
                continue
            if line == "/quit":
                return
            if line.startswith("/"):
                self.obey(line[1:])
            elif line:
                self.answer(line)

    def greet(self) -> None:
        session = self.session
        self.tell(
            f"This is a model's imitation of {session.persona}, not {session.persona}. "
            f"You are {session.me} (/me NAME changes it). /help lists the commands."
        )

    def obey(self, line: str) -> None:
        """Carry out one command."""
        name, _, rest = line.partition(" ")
        if name not in self.commands:
            known = ", ".join(f"/{known}" for known in self.commands)
            self.tell(f"There is no /{name}; there are {known}, /quit.")
            return
        try:
            self.commands[name](rest.strip())
        except SoundalikeError as error:
            self.tell(str(error))

    def answer(self, text: str) -> None:
        """Print a reply as it is drawn, one bubble a line."""
        name = Text(f"{self.session.persona}: ", style="bold cyan")
        pieces = self.session.reply(text)
        at_start = True
        try:
            for piece in pieces:
                for n, part in enumerate(piece.split("\n")):
                    if n and not at_start:
                        self.console.print()
                        at_start = True
                    if part:
                        if at_start:
                            self.console.print(name, end="")
                        self.console.print(Text(part), end="", soft_wrap=True)
                        at_start = False
        except KeyboardInterrupt:
            pieces.close()  # type: ignore[attr-defined]  # it is a generator
            self.console.print(" …", end="")
        if not at_start:
            self.console.print()
        elif not self.session.spoken[-1].turn.text.strip():
            self.tell(f"({self.session.persona} says nothing)")

    def me(self, name: str) -> None:
        if name:
            self.session.speak_as(name)
        others = ", ".join(list(self.session.partners)[:12])
        self.tell(f"You are {self.session.me}. In the chat: {others}.")

    def persona(self) -> None:
        config = self.session.decoder.config
        count = sum(p.numel() for p in self.session.decoder.parameters())
        self.tell(
            f"{self.session.persona}, imitated by a decoder of {count / 1e6:.1f} M parameters "
            f"({config.layers} layers, context {config.block} tokens) in {self.session.folder}."
        )

    def set(self, words: str) -> None:
        name, _, value = words.replace("=", " ").partition(" ")
        if value:
            self.session.set(name, parse_value(value.strip()))
        for key, current in asdict(self.session.chat).items():
            self.tell(f"{key} = {current}")

    def reset(self) -> None:
        self.session.reset()
        self.tell("A new conversation.")

    def save(self, name: str) -> None:
        path = Path(name or f"chat-{datetime.now():%Y%m%d-%H%M%S}.txt").expanduser()
        try:
            with atomic(path) as file:
                for spoken in self.session.spoken:
                    file.write(f"{spoken.turn.speaker}: {spoken.turn.text}\n")
        except OSError as error:
            self.tell(f"Could not write {path}: {error.strerror}.")
            return
        self.tell(f"Saved to {path}.")

    def tell(self, text: str) -> None:
        """A line of the program's own."""
        self.console.print(Text(text, style="dim"))


def once(session: Session, text: str, console: Console) -> None:
    """One message, one reply, nothing else on the screen."""
    reply = "".join(session.reply(text)).strip()
    with suppress(BrokenPipeError):
        console.print(Text(reply), soft_wrap=True)
