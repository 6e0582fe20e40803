"""What a model answers at moments of the test conversations, drawn once and kept in a file.

A reply depends on the model, the moment and the seed alone, not on which were drawn before. The
name of the file depends on the same: another model, or another split of the chat, has another
file, so nothing kept is ever out of date.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from pipeline.common.errors import DataError
from pipeline.common.files import read_jsonl, sha256, write_jsonl
from pipeline.dialogue.people import persona_of
from pipeline.evaluation.moments import Moment, moments
from pipeline.serving.model_card import CHAT
from pipeline.serving.session import Session
from pipeline.workspace.stages import DIALOGUE_TEXTS, MODEL
from pipeline.workspace.workspace import Workspace, default_path, make_private
from transformer.io import load

FOLDER = "8_evaluation"


def moments_of(workspace: Workspace, count: int = 0) -> list[Moment]:
    """The moments of a workspace's test part; DataError when there is none."""
    path = workspace.path / DIALOGUE_TEXTS[2]
    asked = moments(read_jsonl(path), persona_of(workspace), count) if path.exists() else []
    if not asked:
        raise DataError(
            f"{workspace.path} has no test conversation in which the person answers; "
            f"`python -m pipeline status --workspace {workspace.path}` says what is missing."
        )
    return asked


class ReplyCache:
    """The replies of one model. `open_session` is called only when a reply is not kept yet."""

    def __init__(self, path: Path, open_session: Callable[[], Session], seed: int) -> None:
        self.path, self.seed = path, seed
        self._open_session = open_session
        self._session: Session | None = None
        rows = read_jsonl(path) if path.exists() else ()
        self._kept: dict[str, str] = {row["to"]: row["text"] for row in rows}

    @property
    def name(self) -> str:
        """Unique to this model and test part."""
        return self.path.stem

    def to(self, moment: Moment) -> str:
        """The reply at a moment, written to the file before it is returned."""
        key = _key(moment)
        if key not in self._kept:
            self._session = self._session or self._open_session()
            self._kept[key] = answer(self._session, moment, self.seed)
            write_jsonl(self.path, ({"to": k, "text": v} for k, v in self._kept.items()))
        return self._kept[key]


def answer(session: Session, moment: Moment, seed: int) -> str:
    """What the session's persona says at a moment, from a seed that depends on nothing else."""
    session.reset()
    session.generator.manual_seed(int(_key(moment), 16) ^ seed)
    for turn in moment.before:
        session.hear(turn)
    return "".join(session.answer()).strip()


def _key(moment: Moment) -> str:
    """The same for the same moment, whatever its number in a selection."""
    said = [(turn.speaker, turn.text) for turn in moment.before]
    return hashlib.sha256(repr((said, moment.real)).encode("utf-8", "replace")).hexdigest()[:12]


def replies_of(folder: Path, workspace: Workspace, weights: Path | None = None) -> ReplyCache:
    """The replies of a model folder at the moments of a workspace's test part.

    `weights`: another folder, whose decoder answers in place of the model's.
    """

    def open_session() -> Session:
        session = Session(folder)
        if weights is not None:
            session.decoder = load(weights)
        return session

    place = workspace.path / FOLDER / "replies"
    place.mkdir(parents=True, exist_ok=True)
    make_private(place.parent)
    name = _name(folder, weights or folder, workspace)
    return ReplyCache(place / f"{name}.jsonl", open_session, workspace.settings.train.seed)


def _name(folder: Path, weights: Path, workspace: Workspace) -> str:
    """What the model is called, and a hash of all that its replies depend on."""
    decoder = (weights / name for name in ("config.json", "model.safetensors"))
    drawn = (folder / name for name in ("tokenizer.json", CHAT))
    parts = [sha256(path) for path in (*decoder, *drawn, workspace.path / DIALOGUE_TEXTS[2])]
    digest = hashlib.sha256(f"{parts} {workspace.settings.train.seed}".encode()).hexdigest()
    place = weights.absolute()
    called = default_path(place.parent.name if place.name == MODEL else place.name).name
    return f"{called}-{digest[:8]}"
