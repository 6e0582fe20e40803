"""`blind-test` in the terminal: who wrote this, the person or the model?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from pipeline.cli import shared_options
from pipeline.common.errors import DataError, WorkspaceError
from pipeline.common.files import read_jsonl, write_jsonl
from pipeline.common.screen import Screen
from pipeline.evaluation.moments import Moment
from pipeline.evaluation.reply_cache import FOLDER, ReplyCache, moments_of, replies_of
from pipeline.evaluation.rounds import MODEL, OTHER, REAL, AnswerRow, Result, Round, pairs, shuffled
from pipeline.serving.model_card import ModelCard
from pipeline.workspace.find_model import find_model
from pipeline.workspace.workspace import Workspace, find_workspace

SHOWN = 4  # turns of context above the replies
KEYS = {"1": 0, "2": 1, "s": None}


class BlindTest:
    """Asks round after round. Tests pass their own `read` and `console`."""

    def __init__(
        self,
        rounds: Sequence[Round],
        path: Path,
        persona: str,
        other: str | None,
        console: Console,
        read: Callable[[str], str] = input,
    ) -> None:
        self.rounds, self.path = rounds, path
        self.persona, self.other = persona, other
        self.console, self.read = console, read
        self.answers: list[AnswerRow] = list(read_jsonl(path)) if path.exists() else []

    def run(self) -> None:
        """Ask what was not asked yet, then show the result. Ctrl-C loses nothing."""
        asked = {row["round"] for row in self.answers}
        for one in self.rounds:
            if one.number not in asked and not self.ask(one):
                break
        self.tell(Result.of(self.answers).sentences(self.persona, self.other))

    def ask(self, one: Round) -> bool:
        """Show a round and keep the answer; False to stop."""
        self.show(one)
        which = "more like" if self.other is not None else "by"
        while True:
            try:
                key = self.read(f"Which is {which} {self.persona}? 1 or 2 (s skips, q stops): ")
            except EOFError:
                self.console.print()
                return False
            key = key.strip().casefold()
            if key == "q":
                return False
            if key in KEYS:
                self.answers.append(one.answer(KEYS[key]))
                write_jsonl(self.path, self.answers)
                return True

    def show(self, one: Round) -> None:
        self.tell(f"\nRound {one.number} of {len(self.rounds)}")
        for turn in one.before[-SHOWN:]:
            for line in turn.text.split("\n"):
                self.console.print(Text(f"{turn.speaker}: ", style="bold"), Text(line), sep="")
        self.console.print()
        for number, (_, text) in enumerate(one.replies, 1):
            self.console.print(Text(f"  {number}  " + text.replace("\n", "\n     ")))

    def tell(self, text: str) -> None:
        """A line of the program's own."""
        self.console.print(Text(text, style="dim"))


@click.command()
@shared_options.workspace
@click.option(
    "--against",
    type=shared_options.PATH,
    metavar="MODEL",
    help="Compare with another model of this person instead of the real replies.",
)
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True, metavar="N")
def blind_test(workspace: Path | None, against: Path | None, rounds: int) -> None:
    """Which reply is the real one? You judge, and see how often the model passes."""
    hold(Workspace(find_workspace(workspace)), against, rounds, Screen())


def hold(
    workspace: Workspace,
    against: Path | None,
    count: int,
    screen: Screen,
    read: Callable[[str], str] | None = None,
) -> None:
    """Draw the replies that are missing, then ask; `read` stands in for a terminal."""
    if read is None and not sys.stdin.isatty():
        raise DataError("A blind test asks a person: run it in a terminal.")
    model = find_model(workspace.path)
    rival = find_model(against) if against is not None else None
    persona = ModelCard.read(model).persona
    if rival is not None and ModelCard.read(rival).persona != persona:
        raise WorkspaceError(f"{rival} imitates somebody else; compare two models of one person.")
    moments = moments_of(workspace)
    mine = replies_of(model, workspace)
    theirs = replies_of(rival, workspace) if rival is not None else None
    if theirs is not None and theirs.name == mine.name:
        raise WorkspaceError(f"{rival} is the same model; name another one with --against.")
    rounds = _rounds(shuffled(moments, mine.seed), mine, theirs, count, screen)
    if not rounds:
        raise DataError(
            "There is nothing to ask: of every two replies one is empty, or both are the same."
        )
    if len(rounds) < count:
        screen.note(f"the test part has {len(rounds)} moments to ask about, not {count}")
    name = mine.name if theirs is None else f"{mine.name}-against-{theirs.name}"
    path = workspace.path / FOLDER / "blind" / f"{name}.jsonl"
    other = theirs.name if theirs is not None else None
    BlindTest(rounds, path, persona, other, screen.console, read or input).run()


def _rounds(
    moments: Sequence[Moment],
    mine: ReplyCache,
    theirs: ReplyCache | None,
    count: int,
    screen: Screen,
) -> list[Round]:
    """The first `count` rounds, with replies drawn where none is kept."""

    def answered() -> Iterator[tuple[Moment, Mapping[str, str]]]:
        for moment in moments:
            beside = {REAL: moment.real} if theirs is None else {OTHER: theirs.to(moment)}
            yield moment, {MODEL: mine.to(moment), **beside}

    rounds = []
    with screen.bar("answering", count, count=True) as bar:
        for one in islice(pairs(answered(), mine.seed), count):
            rounds.append(one)
            bar.to(one.number)
    return rounds
