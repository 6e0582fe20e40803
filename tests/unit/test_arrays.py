"""Arrays of ids on disk."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from pipeline.common.errors import WorkspaceError
from pipeline.training.memmap import ArrayFile, resumable, writing


def test_what_was_appended_reads_back(tmp_path):
    path = tmp_path / "4_encoded" / "train.bin"
    with writing(path, "uint16") as writer:
        writer.append([1, 2, 3])
        writer.append([])
        writer.append([65535])
        writer.info["bytes"] = 7
    with ArrayFile(path) as found:
        assert found.values.tolist() == [1, 2, 3, 65535]
        assert found.info["bytes"] == 7
        assert isinstance(found.values, np.memmap)


def test_rows_keep_their_shape(tmp_path):
    with writing(tmp_path / "a.bin", "int32", (2, 3)) as writer:
        writer.append([[1, 2, 3], [-1, -1, -1]])
    with ArrayFile(tmp_path / "a.bin") as found:
        assert found.values.shape == (1, 2, 3)


def test_an_empty_array_is_whole(tmp_path):
    with writing(tmp_path / "a.bin", "uint16") as writer:
        writer.info["bytes"] = 0
    with ArrayFile(tmp_path / "a.bin") as found:
        assert len(found) == 0


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"x" + b[1:], lambda b: b""])
def test_a_damaged_array_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "4_encoded" / "train.bin"
    with writing(path, "uint16") as writer:
        writer.append(range(100))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WorkspaceError, match="python -m pipeline 4"):
        ArrayFile(path)


def test_a_closed_array_can_be_replaced(tmp_path):
    for value in (1, 2):
        with writing(tmp_path / "a.bin", "uint16") as writer:
            writer.append([value])
        with ArrayFile(tmp_path / "a.bin") as found:
            assert found.values.tolist() == [value]
        assert len(found.values) == 0


def begin(path, key, shards, fail=True):
    """Write shards and stop in the middle of one more, unless told to finish."""
    with contextlib.suppress(KeyboardInterrupt), resumable(path, "uint16", key) as writer:
        known = writer.shards
        for shard in shards[known:]:
            writer.append([shard] * shard)
            writer.info["bytes"] = writer.info.get("bytes", 0) + shard
            writer.commit()
        if fail:
            writer.append([9] * 5)
            writer.file.flush()
            raise KeyboardInterrupt
    return known


def test_a_stopped_array_goes_on_after_its_last_whole_shard(tmp_path):
    path = tmp_path / "4_encoded" / "train.bin"
    assert begin(path, "k", [3, 1]) == 0
    assert begin(path, "k", [3, 1, 4]) == 2
    assert not path.exists()
    assert begin(path, "k", [3, 1, 4, 2], fail=False) == 3
    with ArrayFile(path) as found:
        assert found.values.tolist() == [3, 3, 3, 1, 4, 4, 4, 4, 2, 2]
        assert found.info["bytes"] == 10
    assert [p.name for p in path.parent.iterdir()] == ["train.bin"]


@pytest.mark.parametrize("damage", ["key", "part", "short", "journal"])
def test_what_does_not_fit_together_is_begun_anew(tmp_path, damage):
    path = tmp_path / "a.bin"
    begin(path, "k", [3, 1])
    if damage == "part":
        (tmp_path / "a.bin.part").unlink()
    elif damage == "short":
        (tmp_path / "a.bin.part").write_bytes(b" " * 4097)
    elif damage == "journal":
        (tmp_path / "a.bin.journal").write_text('{"key": "k"', encoding="utf-8")
    assert begin(path, "other" if damage == "key" else "k", [2], fail=False) == 0
    with ArrayFile(path) as found:
        assert found.values.tolist() == [2, 2]
