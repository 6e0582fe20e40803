"""The command line: `python -m pipeline VERB`. Thin: every verb calls something that has a test."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from pipeline import runner, verbs, world
from pipeline.errors import in_words, one_line
from pipeline.screen import Screen, use_utf8
from pipeline.stages import STAGES, select

# Threads that wait for each other soon sleep instead of spinning: beside another busy program,
# spinning makes training several times slower. But a small decoder's step is many short pieces of
# work, so where it can be said they first spin for some microseconds. (Read when torch is loaded.)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # of GNU's OpenMP, which torch has on Linux

SEVERAL = ("--export", "--corpus")  # options that take one path or many


class Verbs(click.Group):
    """A group in which stage numbers, ranges and names are verbs too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = spread(args)
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["stages", *args]
        return super().parse_args(ctx, args)


def spread(args: Sequence[str]) -> list[str]:
    """`--export a b` as `--export a --export b`, which click understands."""
    done: list[str] = []
    option, taken = "", 0
    for arg in args:
        if arg.startswith("-"):
            option, taken = arg, 0
            done.append(arg)
            continue
        done += [option, arg] if option in SEVERAL and taken else [arg]
        taken += 1
    return done


def options(*wanted: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options that verbs share, by name."""
    path = click.Path(path_type=Path)
    known = {
        "workspace": click.option(
            "--workspace", type=path, metavar="DIR", help="The folder of this person's data."
        ),
        "export": click.option(
            "--export",
            type=path,
            multiple=True,
            metavar="PATH…",
            help="WhatsApp exports: .txt, .zip or folders.",
        ),
        "persona": click.option("--persona", metavar="NAME", help="Who is imitated."),
        "corpus": click.option(
            "--corpus",
            type=path,
            multiple=True,
            metavar="PATH…",
            help="Text to learn the language from: .txt, .jsonl, .parquet or folders.",
        ),
        "corpus_column": click.option(
            "--corpus-column", metavar="NAME", help="Which column of its rows holds the text."
        ),
        "base": click.option(
            "--base",
            metavar="BASE",
            help="A pretrained model to start from: smollm2, or a folder or GGUF file.",
        ),
        "tune": click.option(
            "--tune", is_flag=True, help="Try ranks and rates first, for a part of the minutes."
        ),
        "minutes": click.option("--minutes", type=float, metavar="M", help="Training time in all."),
        "epochs": click.option("--epochs", type=float, metavar="E", help="Passes over the data."),
        "set": click.option(
            "--set",
            "changes",
            multiple=True,
            metavar="SECTION.KEY=VALUE",
            help="Change a setting of workspace.toml.",
        ),
        "text_column": click.option(
            "--text-column", default="text", metavar="NAME", show_default=True
        ),
        "label_column": click.option(
            "--label-column", default="label", metavar="NAME", show_default=True
        ),
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(wanted):
            command = known[name](command)
        return command

    return decorate


SOURCES = (
    "workspace",
    "export",
    "persona",
    "corpus",
    "corpus_column",
    "base",
    "minutes",
    "epochs",
    "tune",
    "set",
)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A stage is a verb too: its number or name, several, or a range (3-5):  "
    + "  ".join(f"{stage.number} {stage.name}" for stage in STAGES),
)
def cli() -> None:
    """From a WhatsApp export to a model that writes like one of the people in it."""


@cli.command()
@options(*SOURCES)
def run(**given: Any) -> None:
    """Run every stage that is not fresh, from the export to the chat."""
    verbs.run_stages(verbs.Given(**given), list(STAGES), Screen())


@cli.command(hidden=True)
@click.argument("words", nargs=-1, required=True)
@options(*SOURCES)
def stages(words: tuple[str, ...], **given: Any) -> None:
    """Run some stages: numbers, names, or ranges such as 3-5."""
    verbs.run_stages(verbs.Given(**given), select(words), Screen())


@cli.command()
@click.argument("words", nargs=-1, metavar="[STAGES]…")
@options(*SOURCES)
@click.option("--compare", metavar="SIZES", help="Vocabulary sizes side by side: 512,1024,4096.")
@click.option("--show", metavar="TEXT", help="The tokens of a text, and the merges one by one.")
def tokenizer(words: tuple[str, ...], compare: str | None, show: str | None, **given: Any) -> None:
    """Stage 3; or compare vocabulary sizes, or show how text becomes tokens."""
    if compare is None and show is None:
        verbs.run_stages(verbs.Given(**given), select(("tokenizer", *words)), Screen())
    elif words:
        raise click.UsageError("--compare and --show go with no other stage.")
    else:
        verbs.look_at_tokens(verbs.Given(**given), compare, show, Screen())


@cli.command()
@options("workspace")
def status(workspace: Path | None) -> None:
    """What is done, what is stale, and why."""
    verbs.status(verbs.existing(workspace), Screen())


@cli.command()
@click.argument("stage")
@options("workspace")
def why(stage: str, workspace: Path | None) -> None:
    """Why a stage would run again."""
    verbs.why(verbs.existing(workspace), stage, Screen())


@cli.command()
@options(*SOURCES)
@click.option("--fresh", is_flag=True, help="Start over with all exports instead of continuing.")
def retrain(fresh: bool, **given: Any) -> None:
    """Learn from a newer export, starting from the present model."""
    from pipeline.retrain import retrain as again

    again(verbs.Given(**given), fresh, Screen())


@cli.command()
@options("minutes")
def demo(minutes: float | None) -> None:
    """Everything on the sample chats, then talk with the result."""
    from pipeline.demo import demo as show

    show(minutes, Screen())


@cli.command()
@click.argument("words", nargs=-1, metavar="[STAGES]…")
@options(*SOURCES)
@click.option("--judge", metavar="URL", help="A server that speaks OpenAI's protocol judges too.")
@click.option("--model", metavar="NAME", help="The judge's name on that server.")
@click.option("--canaries", is_flag=True, help="Plant secrets in a short copy, and look for them.")
@click.option("--allow-remote", is_flag=True, help="Let parts of the chat leave this network.")
def evaluate(
    words: tuple[str, ...],
    judge: str | None,
    model: str | None,
    canaries: bool,
    allow_remote: bool,
    **given: Any,
) -> None:
    """Stage 8; with --judge a language model then judges the samples."""
    from pipeline import judging

    if (judge is None) != (model is None):
        raise click.UsageError("--judge URL and --model NAME go together.")
    server = judging.connect(judge, model, allow_remote) if judge and model else None
    stages = select(("evaluate", *words))
    workspace = verbs.run_stages(verbs.Given(**given), stages, Screen())
    if server is not None:
        judging.judge(workspace, server, Screen())
    if canaries:
        from pipeline.canaries import canaries as look_for

        with one_line():
            look_for(workspace, Screen())


@cli.command("blind-test")
@options("workspace")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="MODEL",
    help="Compare with another model of this person instead of the real replies.",
)
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True, metavar="N")
def blind_test(workspace: Path | None, against: Path | None, rounds: int) -> None:
    """Which reply is the real one? You judge, and see how often the model passes."""
    from pipeline.blind_test import blind_test as ask

    ask(verbs.existing(workspace), against, rounds, Screen())


@cli.command("save-hf")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("model", required=False, type=click.Path(path_type=Path))
@options("workspace")
def save_hf(folder: Path, model: Path | None, workspace: Path | None) -> None:
    """Write the model, or the one named, as a folder that transformers opens."""
    from pipeline.serving.find import find_model
    from pipeline.serving.huggingface import convert

    if model is not None and workspace is not None:
        raise click.UsageError("Name a model or a workspace, not both.")
    with one_line():
        convert(find_model(model or workspace), folder)
    click.echo(f"{folder} is written; transformers opens it.")


@cli.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For another program.")
@options("set")
def inspect(paths: tuple[Path, ...], as_json: bool, changes: tuple[str, ...]) -> None:
    """Who speaks in an export, what would be skipped, and whether it is enough to learn from."""
    import json

    from pipeline import inspect as look

    chosen = verbs.Given(changes=changes).checked().parse
    findings = look.inspect(paths, chosen.date_order, chosen.aliases)
    if as_json:
        click.echo(json.dumps(look.to_dict(findings), ensure_ascii=False, indent=2))
    else:
        look.show(findings, Screen())


@cli.group()
def classify() -> None:
    """Train a classifier of texts on a table of examples, and label texts with it."""


@classify.command("train")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "start", metavar="PATH", help="A model's folder, a GGUF file, or smollm2.")
@options("text_column", "label_column")
@click.option("--out", default="classifier", type=click.Path(path_type=Path), show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the split and of the training.")
def classify_train(
    file: Path, start: str | None, text_column: str, label_column: str, out: Path, seed: int
) -> None:
    """Learn labels from FILE, a CSV with a text and a label a row."""
    from pipeline.classify import verbs as classifying

    columns = classifying.Columns(text_column, label_column)
    classifying.train(file, columns, start, out, seed, Screen())


@classify.command("predict")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", default="classifier", type=click.Path(path_type=Path), show_default=True)
@options("text_column", "label_column")
def classify_predict(file: Path, model: Path, text_column: str, label_column: str) -> None:
    """Label the texts of FILE, into FILE.predicted.csv."""
    from pipeline.classify import verbs as classifying

    classifying.predict(file, classifying.Columns(text_column, label_column), model, Screen())


@cli.command()
@click.argument("topic", required=False)
@click.argument("texts", nargs=-1, metavar="[TEXT]…")
@options("workspace")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where the picture goes."
)
def explain(
    topic: str | None, texts: tuple[str, ...], workspace: Path | None, out: Path | None
) -> None:
    """A lesson about one idea, in the terminal and as a picture; without a topic, the list."""
    from pipeline.explain import show
    from pipeline.explain.lesson import Request

    if topic is None:
        show.show_topics(Screen())
    else:
        show.explain(topic, Request(texts, workspace), out, Screen())


@cli.command()
@click.argument("family")
@click.option("--minutes", type=float, metavar="M", help="For all of it; otherwise 12 a family.")
@click.option(
    "--text",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A text file or an encoded workspace; otherwise Python's own manual.",
)
@click.option(
    "--workspace",
    default="workspaces/laboratory",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where results are kept.",
)
def experiments(family: str, minutes: float | None, text: Path | None, workspace: Path) -> None:
    """The laboratory: compare the variants of a FAMILY, or `all`, under the same conditions.

    Families: positions, attention, activations, norms, placement, dropout, evolution, size,
    optimizer, learning-rate.
    """
    from pipeline.experiments.verb import experiments as compare

    compare(family, minutes, text, workspace, Screen())


@cli.command()
@options("workspace")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(workspace: Path | None, yes: bool) -> None:
    """Delete a workspace: messages, models, everything."""
    found = verbs.existing(workspace)
    if not yes:
        click.confirm(f"Delete {found.path} with all its messages and models?", abort=True)
    found.purge()
    click.echo(f"{found.path} is deleted.")


def main(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 2 the user can mend it, 130 stopped."""
    use_utf8()
    words = sys.argv[1:] if args is None else args
    debug = "--debug" in words
    try:
        process = world.join()
        if not process.leads:
            runner.follow(process)
            return 0
        cli.main([w for w in words if w != "--debug"], "python -m pipeline", standalone_mode=False)
        world.leave()
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


def stopped(why: BaseException | None) -> int:
    """Say what an interruption leaves behind, in its own words where it has some."""
    own = str(why) if isinstance(why, KeyboardInterrupt) else ""
    usual = "Stopped. Nothing is lost: the same command goes on from here."
    click.echo(own or usual, err=True)
    return 130


if __name__ == "__main__":
    world.end(main())
