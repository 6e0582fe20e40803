"""`python -m transformer describe`: what a decoder consists of, before it is built."""

from __future__ import annotations

import click

from transformer.config import ConfigError


class UserError(click.ClickException):
    """Something the user can fix; one line."""

    exit_code = 2


@click.group()
def cli() -> None:
    """One decoder, whose variants are choices."""


@cli.command()
@click.argument("name", metavar="[PRESET|FOLDER]", required=False)
@click.option("--vocab", type=click.IntRange(1), metavar="N", help="With another vocabulary.")
@click.option("--context", type=int, metavar="N", help="Tokens in the cache; else a whole block.")
@click.option(
    "--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True
)
def describe(name: str | None, vocab: int | None, context: int | None, dtype: str) -> None:
    """Layers and memory of a preset or saved model.

    Without a name: all presets and their sizes.
    """
    from rich.console import Console

    from transformer import describe as description
    from transformer.io import WeightsError

    console = Console(highlight=False)
    try:
        if name is None:
            description.show_presets(vocab, dtype, console)
        else:
            description.show(name, description.find_config(name, vocab), context, dtype, console)
    except (ConfigError, WeightsError) as error:
        raise UserError(str(error)) from None


if __name__ == "__main__":
    cli(prog_name="python -m transformer")
