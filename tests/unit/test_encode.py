"""Stage 4: the ids of the text whatever the number of shards, and after being killed anywhere."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from tests_support import chat_lines

import minbpe
from pipeline.common.screen import Screen
from pipeline.corpus import readers
from pipeline.dialogue import shards, training_text
from pipeline.dialogue.template import END, SPECIAL, render
from pipeline.stages import runner, stage4_encode
from pipeline.training.memmap import ArrayFile, Resumable
from pipeline.workspace.freshness import shape
from pipeline.workspace.stages import CLEAN, ENCODED, STAGES, TOKENIZER
from pipeline.workspace.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
PLAIN = "".join(f"Line {n} of the corpus, {n * n} собак.\n" + "\n" * (n % 3) for n in range(900))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A workspace with a chat, a corpus of two files and a tokenizer, to be copied."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "chat.txt").write_text(chat_lines(60), encoding="utf-8")
    for name in "ab":
        (folder / f"{name}.txt").write_text(name + PLAIN, encoding="utf-8")
    changes = {
        "source.export": [str(folder / "chat.txt")],
        "source.corpus": [str(folder / "a.txt"), str(folder / "b.txt")],
        "source.persona": "Ben",
    }
    made = Workspace.make(folder / "space", changes)
    runner.run(made, STAGES[:3], Screen(Console(file=io.StringIO())))
    return made


@pytest.fixture
def workspace(prepared, tmp_path):
    return Workspace(Path(shutil.copytree(prepared.path, tmp_path / "space")))


def encode(workspace, console, key="k"):
    task = runner.Task(workspace, STAGES[3], Screen(console), {}, key)
    stage4_encode.run(task)
    return {name: (workspace.path / name).read_bytes() for name in ENCODED}


def small_shards(monkeypatch, size=2000):
    """Many shards of little text, encoded in this process."""
    monkeypatch.setattr(readers, "PIECE", size)
    monkeypatch.setattr(shards, "CHAT_BYTES", size)
    monkeypatch.setattr(stage4_encode, "parallel_map", map)


def test_the_ids_are_those_of_the_whole_text(workspace, console, monkeypatch):
    small_shards(monkeypatch)
    encode(workspace, console)
    tokenizer = minbpe.load(workspace.path / TOKENIZER)
    expected = []
    for conversation in training_text.conversations(workspace, "train"):
        expected += render(conversation, tokenizer)[0]
    size = sum(turn.bytes for c in training_text.conversations(workspace, "train") for turn in c)
    documents = [""]
    for piece in training_text.pieces(workspace, "train"):
        documents[-1] += piece.texts[0]
        documents += piece.texts[1:]
        documents += [""] if piece.ends_document else []
    for document in documents[:-1]:
        expected += [*tokenizer.encode(document), tokenizer.special[END]]
    with ArrayFile(workspace.path / ENCODED[0]) as found:
        assert found.values.tolist() == expected
        assert found.info["chat_bytes"] == size
        assert found.info["bytes"] == size + len("".join(documents).encode())
    assert len(documents) == 3
    assert set(SPECIAL) == set(tokenizer.special)


def test_the_total_is_what_the_parts_come_to(workspace, console):
    encode(workspace, console)
    found = 0
    for name in ENCODED:
        with ArrayFile(workspace.path / name) as part:
            found += part.info["bytes"]
    assert found == training_text.size(workspace)


def test_a_given_split_goes_to_its_files_and_is_told(tmp_path, console):
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.txt").write_text(f"{name} " * 900, encoding="utf-8")
    paths = [str(tmp_path / f"{name}.txt") for name in ("train", "val", "test")]
    made = Workspace.make(tmp_path / "space", {"source.corpus": paths})
    runner.run(made, STAGES[2:3], Screen(console))
    encode(made, console)
    tokenizer = minbpe.load(made.path / TOKENIZER)
    for name, file in zip(("train", "val", "test"), ENCODED, strict=True):
        with ArrayFile(made.path / file) as found:
            assert tokenizer.decode(found.values[:-1].tolist()) == f"{name} " * 900
    assert "by their names: 1 train, 1 val, 1 test" in console.file.getvalue()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("before_the_journal", [True, False])
def test_stopped_at_any_shard_it_ends_with_the_same_bytes(
    workspace, console, monkeypatch, before_the_journal
):
    small_shards(monkeypatch, 8000)
    unbroken = encode(workspace, console)
    real = Resumable.commit
    done = []

    def commit(writer):
        if before_the_journal:
            writer.file.write(b"half a shard")
        else:
            real(writer)
        if len(done) % 2 == 0:
            done.append("stopped")
            raise Killed
        done.append("passed")
        if before_the_journal:
            writer.file.seek(-len(b"half a shard"), os.SEEK_CUR)
            writer.file.truncate()
            real(writer)

    monkeypatch.setattr(Resumable, "commit", commit)
    runs = 0
    while True:
        runs += 1
        try:
            found = encode(workspace, console)
            break
        except Killed:
            continue
    assert runs > 5
    assert found == unbroken


def test_another_input_starts_anew(workspace, console, monkeypatch):
    small_shards(monkeypatch)
    expected = encode(workspace, console)
    real = Resumable.commit

    def commit(writer):
        real(writer)
        if writer.shards == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Resumable, "commit", commit)
        with pytest.raises(Killed):
            encode(workspace, console, "another text")
    assert list((workspace.path / "4_encoded").glob("*.journal"))
    assert encode(workspace, console) == expected
    assert "going on" not in console.file.getvalue()


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.common.screen import Screen
from pipeline.corpus import readers
from pipeline.dialogue import shards
from pipeline.stages import runner, stage4_encode
from pipeline.training.memmap import Resumable
from pipeline.workspace.stages import STAGES
from pipeline.workspace.workspace import Workspace

def main():
    readers.PIECE = shards.CHAT_BYTES = 2000
    at, how = int(sys.argv[2]), int(sys.argv[3])
    real, count = Resumable.commit, []

    def commit(writer):
        real(writer)
        count.append(1)
        if len(count) == at:
            os.kill(os.getpid(), how)

    Resumable.commit = commit
    task = runner.Task(Workspace(Path(sys.argv[1])), STAGES[3], Screen(), {}, "k")
    stage4_encode.run(task)

if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_with_processes_at_work_it_goes_on(workspace, console, monkeypatch, tmp_path, how):
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(workspace.path), "9", str(int(how))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert not (workspace.path / ENCODED[0]).exists()
    small_shards(monkeypatch)
    resumed = encode(workspace, console)
    assert "going on after 9 shards" in console.file.getvalue()
    for name in ENCODED:
        (workspace.path / name).unlink()
    unbroken = encode(workspace, console, "from the beginning")
    assert {n: hashlib.sha256(b).hexdigest() for n, b in resumed.items()} == {
        n: hashlib.sha256(b).hexdigest() for n, b in unbroken.items()
    }


def test_a_chat_that_is_no_longer_named_counts_no_more(workspace):
    """Else a run that was stopped among its shards would go on in the corpus with as many less."""
    stage = STAGES[3]
    before = shape(workspace, stage)
    without = Workspace.make(workspace.path, {"source.export": []})
    assert (workspace.path / CLEAN).exists()
    assert shape(without, stage).key(stage.version) != before.key(stage.version)
