"""The chat in the terminal: replies, commands, Ctrl-C to cut a reply short, Ctrl-D to leave."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pipeline.common.errors import SoundalikeError
from pipeline.common.files import atomic
from pipeline.dialogue.turns import Turn
from pipeline.serving.group import group_replies, next_speaker
from pipeline.serving.session import CHANGEABLE, Session
from pipeline.workspace.settings_file import parse_value
from pipeline.workspace.workspace import make_private

HELP = """\
/help             this list
/me NAME          who you are in this conversation
/as [NAME]        who is imitated; alone it lists who can be
/group on|off     let the others answer too; the model decides who
/persona          who is imitated, and by what
/set              how replies are drawn; /set temperature 0.5 changes it
/reset            start a new conversation
/save [FILE]      write the conversation to a text file
/stop             end gently
MESSAGE \\         at its end a backslash: another message of yours follows
/quit             leave (or Ctrl-D; on Windows Ctrl-Z and Enter); Ctrl-C cuts a reply short"""

IMITATION = "This is a model's imitation of {0}, not {0}."
FAREWELL = (
    "Take care. You can pick this up again whenever you like, or end it for good by deleting the "
    "folder {}."
)
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
CONTINUED = "\\"  # at the end of a line: another message follows before the answer
LEAVING = ("/stop", "/quit", "\x04", "\x1a")  # the last two: Ctrl-D and Ctrl-Z sent as text


class Terminal:
    """Reads lines and prints replies. Tests pass their own `read` and `console`."""

    def __init__(
        self, session: Session, console: Console, read: Callable[[str], str] = input
    ) -> None:
        self.session, self.console, self.read = session, console, read
        self.group = False
        self.commands: dict[str, Callable[[str], None]] = {
            "help": lambda _: self.tell(HELP),
            "me": self.me,
            "as": self.imitate,
            "group": self.switch_group,
            "persona": lambda _: self.persona(),
            "set": self.set,
            "reset": lambda _: self.reset(),
            "save": self.save,
        }

    def run(self) -> None:
        """Talk until /stop, /quit or Ctrl-D."""
        self.greet()
        messages: list[str] = []
        while True:
            try:
                line = self.read(f"{self.session.me}: ").strip()
            except EOFError:
                self.console.print()
                return
            except KeyboardInterrupt:
                self.tell("\n(/quit leaves)")
                messages = []
                continue
            if line == "/stop":
                self.tell(self.session.chat.farewell or FAREWELL.format(self.session.folder))
            if line in LEAVING:
                return
            if line.startswith("/"):
                self.interruptible(partial(self.obey, line[1:]))
                continue
            messages.append(line.removesuffix(CONTINUED).rstrip())
            if not line.endswith(CONTINUED):
                said, messages = [message for message in messages if message], []
                if said:
                    self.interruptible(partial(self.answer, *said))

    def interruptible(self, work: Callable[[], None]) -> None:
        """Do what was asked for; Ctrl-C ends that and not the conversation."""
        try:
            work()
        except KeyboardInterrupt:
            self.console.print()

    def greet(self) -> None:
        """The first lines; whatever else they say, that this is a model is among them."""
        session, last = self.session, self.session.card.last_message
        known = [f"It knows the chat until {last:%B %Y}."] if last else []
        me = f"You are {session.me} (/me NAME changes it). /help lists the commands."
        if session.chat.opening:
            self.tell(session.chat.opening)
        self.tell(" ".join([IMITATION.format(session.voice), *known, me]))
        if session.warning:
            self.tell(f"Warning: {session.warning}")

    def obey(self, line: str) -> None:
        """Carry out one command."""
        name, _, rest = line.partition(" ")
        if name not in self.commands:
            known = ", ".join(f"/{known}" for known in self.commands)
            self.tell(f"There is no /{name}; there are {known}, /stop, /quit.")
            return
        try:
            self.commands[name](rest.strip())
        except SoundalikeError as error:
            self.tell(str(error))

    def answer(self, *messages: str) -> None:
        """Print what is answered to a burst of messages, by one or in a group by several."""
        session = self.session
        if not self.group:
            self.print_reply(session.voice, session.reply(*messages))
            return
        session.hear(Turn(session.me, messages))
        try:
            for name, pieces in group_replies(session):
                if not self.print_reply(name, pieces):
                    return
        except SoundalikeError as error:  # somebody has become the user, and two are left
            self.group = False
            self.tell(str(error))

    def print_reply(self, speaker: str, pieces: Generator[str]) -> bool:
        """Print a reply, and say so when there is none; False when it was cut short."""
        colour = COLOURS[list(self.session.voices).index(speaker) % len(COLOURS)]
        whole = print_bubbles(self.console, Text(f"{speaker}: ", style=f"bold {colour}"), pieces)
        if whole and not self.session.spoken[-1].turn.text.strip():
            self.tell(f"({speaker} says nothing)")
        return whole

    def imitate(self, name: str) -> None:
        session = self.session
        if not name:
            listed = ", ".join(f"{name} ({count:,})" for name, count in session.voices.items())
            self.tell(f"Voices, with the turns that were learned from: {listed}.")
        else:
            session.imitate(name)
            self.tell(f"{IMITATION.format(session.voice)} You are {session.me}.")
        shown = {session.voice} if name else set(session.voices)
        learned = session.card.learned
        if shown - set(learned):
            self.tell(
                f"The model learned the voice of {', '.join(learned)}; of the others it has only "
                "what it saw in passing."
            )

    def switch_group(self, word: str) -> None:
        if word not in ("on", "off", ""):
            self.tell("/group on, or /group off.")
            return
        if word == "on":
            next_speaker(self.session)  # DataError where there is no group
        if word:
            self.group = word == "on"
        self.tell(
            "The others answer too, when the model would have it."
            if self.group
            else f"Only {self.session.voice} answers."
        )

    def me(self, name: str) -> None:
        if name:
            self.session.speak_as(name)
        others = ", ".join(list(self.session.partners)[:12])
        self.tell(f"You are {self.session.me}. In the chat: {others}.")

    def persona(self) -> None:
        session = self.session
        count = sum(p.numel() for p in session.decoder.parameters())
        self.tell(
            f"{session.voice}, imitated by a decoder of {count / 1e6:.1f} M parameters "
            f"({session.decoder.config.layers} layers, context {session.room} tokens) in "
            f"{session.folder}."
        )

    def set(self, words: str) -> None:
        name, _, value = words.replace("=", " ").partition(" ")
        if value:
            self.session.set(name, parse_value(value.strip()))
        for key in CHANGEABLE:
            self.tell(f"{key} = {getattr(self.session.chat, key)}")

    def reset(self) -> None:
        self.session.reset()
        self.tell("A new conversation.")

    def save(self, name: str) -> None:
        path = Path(name or f"chat-{datetime.now():%Y%m%d-%H%M%S}.txt").expanduser()
        try:
            if path.exists():
                self.tell(f"{path} is there already; name another file.")
                return
            with atomic(path) as file:
                make_private(Path(file.name))
                for turn in self.session.history:
                    file.write(f"{turn.speaker}: {turn.text}\n")
        except OSError as error:
            self.tell(f"Could not write {path}: {error.strerror}.")
            return
        self.tell(f"Saved to {path}.")

    def tell(self, text: str) -> None:
        """A line of the program's own."""
        self.console.print(Text(text, style="dim"))


def print_bubbles(console: Console, name: Text, pieces: Generator[str]) -> bool:
    """Print each line of a reply after the name; False when Ctrl-C cut it short."""
    line_start = whole = True
    try:
        for piece in pieces:
            for n, part in enumerate(piece.split("\n")):
                if n and not line_start:
                    console.print()
                    line_start = True
                if part:
                    if line_start:
                        console.print(name, end="")
                    console.print(Text(part), end="", soft_wrap=True)
                    line_start = False
    except KeyboardInterrupt:
        pieces.close()
        console.print(" …", end="")
        line_start = whole = False
    if not line_start:
        console.print()
    return whole


def once(session: Session, text: str, console: Console) -> None:
    """One message, one reply, nothing else on the screen."""
    reply = "".join(session.reply(text)).strip()
    with suppress(BrokenPipeError):
        console.print(Text(reply), soft_wrap=True)
