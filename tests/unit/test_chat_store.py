"""The cleaned chat is parsed once, and who is who is known without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests_support import chat_lines

from pipeline.__main__ import main
from pipeline.cli.opening import opened
from pipeline.cli.shared_options import Given
from pipeline.common.errors import DataError
from pipeline.common.screen import Screen
from pipeline.dialogue import training_text
from pipeline.dialogue.people import People, partners, persona_of
from pipeline.exports import read_export
from pipeline.stages import runner
from pipeline.workspace import chat_store, freshness
from pipeline.workspace.chat_store import ChatStore
from pipeline.workspace.stages import CLEAN, PEOPLE, by_name
from pipeline.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "chat.txt").write_text(chat_lines(30), encoding="utf-8")
    space = home / "space"
    given = ["--export", str(home / "chat.txt"), "--persona", "ben", "--workspace", str(space)]
    assert main(["1-2", *given]) == 0
    return space


@pytest.fixture
def parses(monkeypatch) -> list[Path]:
    """The files that a chat store has parsed."""
    parsed = []
    read = chat_store.read_jsonl
    monkeypatch.setattr(chat_store, "read_jsonl", lambda path: parsed.append(path) or read(path))
    return parsed


def test_a_store_parses_once_until_it_is_released(cleaned, parses):
    store = ChatStore(cleaned / CLEAN)
    assert len(store.messages()) == 360
    assert store.messages() is store.messages()
    assert len(parses) == 1
    store.release()
    assert len(store.messages()) == 360
    assert len(parses) == 2


def test_values_that_many_messages_have_are_one_object(cleaned):
    messages = ChatStore(cleaned / CLEAN).messages()
    for name in ("sender", "kind", "split", "conversation"):
        values = [getattr(message, name) for message in messages]
        assert len({id(value) for value in values}) == len(set(values)), name


def test_without_a_chat_there_are_no_messages(tmp_path):
    assert ChatStore(tmp_path / CLEAN).messages() == []


def test_who_is_who_needs_no_chat(cleaned, parses):
    workspace = Workspace(cleaned)
    assert persona_of(workspace) == "Ben"
    told = partners(workspace)
    assert not parses
    assert told == {"Ana": 7 * len(list(training_text.conversations(workspace, "train")))}


@pytest.mark.parametrize("left", [None, '{"persona": "Ana", "speakers": {"Ana": 1}}'])
def test_a_workspace_of_an_earlier_version_is_up_to_date_and_knows_the_same(cleaned, parses, left):
    """It has no such file, or one that a stage it does not belong to has left."""
    new = Workspace(cleaned)
    known = (persona_of(new), partners(new), People.read(new).messages)
    path, record = cleaned / PEOPLE, cleaned / "2_clean/stage.json"
    kept, recorded = path.read_bytes(), record.read_bytes()
    row = json.loads(recorded)
    del row["outputs"][PEOPLE]
    try:
        path.unlink()
        if left is not None:
            path.write_text(left, encoding="utf-8")
        record.write_text(json.dumps(row), encoding="utf-8")
        old = Workspace(cleaned)
        assert freshness.why(old, by_name("clean")) is None
        assert (persona_of(old), partners(old), People.read(old).messages) == known
        assert len(parses) == 1
    finally:
        path.write_bytes(kept)
        record.write_bytes(recorded)


def test_another_persona_is_looked_for_in_the_same_chat(cleaned):
    workspace = Workspace(cleaned)
    people = People.of(workspace.chat.messages(), "Ana")
    object.__setattr__(workspace.settings.source, "persona", "ana")
    assert People.read(workspace) == people
    assert people.partners.keys() == {"Ben"}
    object.__setattr__(workspace.settings.source, "persona", "Cleo")
    with pytest.raises(DataError, match="nobody in the chat is called 'Cleo'"):
        People.read(workspace)


def test_an_export_is_read_once_also_when_the_persona_is_asked_for(tmp_path, monkeypatch, console):
    monkeypatch.chdir(tmp_path)
    Path("chat.txt").write_text(chat_lines(30), encoding="utf-8")
    read, times = read_export.read_export, []
    monkeypatch.setattr(read_export, "read_export", lambda *args: times.append(1) or read(*args))
    assert main(["1-2", "--export", "chat.txt", "--persona", "Ben"]) == 0
    assert len(times) == 1


def test_exports_are_read_as_the_settings_are_that_a_command_line_changes(
    tmp_path, monkeypatch, console
):
    monkeypatch.chdir(tmp_path)
    Path("chat.txt").write_text(chat_lines(10), encoding="utf-8")
    screen = Screen(console)
    opened(Given(export=(Path("chat.txt"),), persona="Ana"), screen)
    joined = Given(persona="Ana", changes=('parse.aliases=["Ana = Ben"]',))
    workspace = opened(joined, screen)
    assert workspace.exports.speakers() == {"Ana": 120}


def test_a_stage_that_reads_no_export_holds_none(cleaned, console):
    workspace = opened(Given(workspace=cleaned, persona="Ben"), Screen(console))
    assert workspace.exports._exports is not None
    runner.run(workspace, [by_name("parse"), by_name("clean")], Screen(console))
    assert workspace.exports._exports is None
