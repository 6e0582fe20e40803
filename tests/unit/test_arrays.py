"""Arrays of ids on disk."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import WorkspaceError
from pipeline.training.arrays import ArrayFile, writing


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
