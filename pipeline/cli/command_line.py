"""The command line as a whole: verbs imported when they are called, and errors as one line.

The group is click's `LazyGroup` pattern (click.palletsprojects.com, "Lazily loading subcommands"),
with the line of help of each verb in the table, so that `--help` imports none of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module

import click

from pipeline.common import processes
from pipeline.common.errors import in_words
from pipeline.common.utf8 import use_utf8
from pipeline.workspace.stages import STAGES

# Threads that wait for each other soon sleep instead of spinning: beside another busy program,
# spinning makes training several times slower. But a small decoder's step is many short pieces of
# work, so where it can be said they first spin for some microseconds. (Read when torch is loaded.)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # of GNU's OpenMP, which torch has on Linux


class CommandLine(click.Group):
    """A group of verbs, in which stage numbers, ranges and names mean `run` with them.

    `verbs` is name → ("file:command" in `pipeline/cli/`, one line of help).
    """

    def __init__(self, about: str, verbs: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(
            help=about,
            epilog="A stage is a verb too: its number or name, several, or a range (3-5): "
            + ", ".join(f"{stage.number}\xa0{stage.name}" for stage in STAGES),
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        )
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.verbs:
            return None
        file, _, name = self.verbs[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"pipeline.cli.{file}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.verbs.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and args[0] not in self.verbs:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def run(self, args: list[str] | None = None) -> int:
        """Run the command line; returns the exit code: 0 done, 2 the user can fix it, 130 stopped.

        `--debug` shows the traceback of an error that is otherwise one line.
        """
        use_utf8()
        words = sys.argv[1:] if args is None else args
        debug = "--debug" in words
        try:
            process = processes.join()
            if not process.leads:
                from pipeline.stages import runner

                runner.follow(process)
                return 0
            words = [word for word in words if word != "--debug"]
            self.main(words, "python -m pipeline", standalone_mode=False)
            processes.leave()
        except click.Abort as abort:
            return stopped(abort.__cause__)
        except click.ClickException as error:
            error.show()
            return 2
        except KeyboardInterrupt as stop:
            return stopped(stop)
        except Exception as error:
            line = in_words(error)
            if debug or line is None:
                raise
            click.echo(line, err=True)
            return 2
        return 0


def stopped(cause: BaseException | None) -> int:
    """Say what an interruption leaves behind, in its own words where it has some."""
    message = str(cause) if isinstance(cause, KeyboardInterrupt) else ""
    click.echo(message or "Stopped. Nothing is lost: the same command goes on from here.", err=True)
    return 130
