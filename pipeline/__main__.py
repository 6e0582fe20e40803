"""The command line, `python -m pipeline VERB`: the table of verbs.

A verb is a click command in a file of `pipeline/cli/`, imported only when it is asked for. To add
one, write the file and add its row here: where it is, and the line that `--help` shows for it.
"""

from __future__ import annotations

from pipeline.cli.command_line import CommandLine
from pipeline.common import processes

cli = CommandLine(
    "From a WhatsApp export to a model that writes like one of the people in it.",
    {
        "run": ("run:run", "Run every stage that is not up to date, or the stages named."),
        "status": ("status:status", "What is done, what is out of date, and why."),
        "why": ("status:why", "Why a stage would run again."),
        "inspect": ("inspect:inspect", "Who speaks in an export, and whether it is enough."),
        "tokenizer": ("tokenizer:tokenizer", "Stage 3; or compare vocabularies, or show tokens."),
        "evaluate": ("evaluate:evaluate", "Stage 8; a language model may judge the samples too."),
        "retrain": ("retrain:retrain", "Learn from a newer export, from the present model on."),
        "blind-test": ("blind_test:blind_test", "Which reply is the real one? You judge."),
        "save-hf": ("save_hf:save_hf", "Write the model as a folder that transformers opens."),
        "purge": ("purge:purge", "Delete a workspace: messages, models, everything."),
        "demo": ("demo:demo", "Everything on the sample chats, then talk with the result."),
        "classify": ("classify:classify", "Learn labels from a table of texts, and label others."),
        "explain": ("explain:explain", "A lesson about one idea, with numbers and a picture."),
        "experiments": ("experiments:experiments", "The laboratory: compare variants fairly."),
    },
)
main = cli.run

if __name__ == "__main__":
    processes.end(main())
