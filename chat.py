"""Open a model folder and talk with it in the terminal.

python chat.py                              the newest workspace's model
python chat.py workspaces/ana/model         this one
python chat.py --as Ben                     somebody else of the chat
python chat.py --once "are you up?"         one reply, then exit
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pipeline.common.errors import in_words
from pipeline.common.utf8 import use_utf8


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option("--me", metavar="NAME", help="Who you are: a speaker of the chat, or anybody.")
@click.option("--as", "voice", metavar="NAME", help="Who is imitated, if not the persona.")
@click.option("--once", metavar="TEXT", help="Print one reply to TEXT and exit.")
@click.option("--seed", type=int, help="Draw the same replies again.")
def main(
    model: Path | None, me: str | None, voice: str | None, once: str | None, seed: int | None
) -> None:
    """Talk with a model made by `python -m pipeline run`."""
    use_utf8()
    try:
        _talk(model, me, voice, once, seed)
    except Exception as error:
        line = in_words(error)
        if line is None:
            raise
        click.echo(line, err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _talk(
    model: Path | None, me: str | None, voice: str | None, once: str | None, seed: int | None
) -> None:
    from rich.console import Console  # late, so that --help answers at once

    from pipeline.serving import terminal
    from pipeline.serving.session import Session
    from pipeline.workspace.find_model import find_model

    session = Session(find_model(model), me, seed, voice)
    console = Console(highlight=False)
    if once is not None:
        terminal.once(session, once, console)
    else:
        terminal.Terminal(session, console).run()


if __name__ == "__main__":
    main()
