"""A sentence that goes with a model: that it repeats its chat, for instance.

It is kept beside the model and not in chat.json: what was measured of a model is no part of it, so
writing it down must not make the model look changed (`stages.MODEL_FILES`).
"""

from __future__ import annotations

from pathlib import Path

from pipeline.common.files import atomic

WARNING = "warning.txt"
README = "README.md"
HEADING = "\n## Warning\n\n"


def flag(model: Path, sentence: str) -> None:
    """Write the sentence into a model's folder and its README; an empty one takes it away."""
    sentence = " ".join(sentence.split())
    if sentence == warning_of(model):
        return
    readme = model / README
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    with atomic(readme) as file:
        file.write(text.partition(HEADING)[0] + (HEADING + sentence + "\n") * bool(sentence))
    if not sentence:
        (model / WARNING).unlink(missing_ok=True)
        return
    with atomic(model / WARNING) as file:
        file.write(sentence + "\n")


def warning_of(model: Path) -> str:
    """The sentence that goes with a model; empty when there is none."""
    path = model / WARNING
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""
