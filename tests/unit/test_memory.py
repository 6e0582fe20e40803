"""The largest batch that fits, found without ever holding more than is there."""

from __future__ import annotations

import pytest
import torch

from pipeline.common.processes import ALONE, World
from pipeline.training.hardware import memory

CPU = torch.device("cpu")
MB = 1 << 20


@pytest.mark.parametrize(
    ("most", "allowed", "fixed", "row", "expected"),
    [
        (8, 1000, 100, 10, 8),
        (12, 1000, 100, 10, 12),
        (64, 1000, 100, 50, 16),
        (64, 105, 100, 10, 0),
        (1, 1000, 100, 10, 1),
        (8, 150, 100, 10, 4),
    ],
)
def test_it_doubles_while_it_fits_and_never_goes_over(
    monkeypatch, most, allowed, fixed, row, expected
):
    now, highest = [fixed], [0]
    monkeypatch.setattr(memory, "used", lambda device: now[0])
    monkeypatch.setattr(memory, "limit", lambda device, share: allowed)

    def work(rows: int) -> None:
        now[0] = fixed + row * rows
        highest[0] = max(highest[0], now[0])

    assert memory.largest_batch(work, most, CPU, ALONE) == expected
    if expected:
        assert highest[0] <= allowed


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory")]
)
def test_a_pass_that_runs_out_ends_the_search(error):
    def work(rows: int) -> None:
        if rows > 4:
            raise error

    assert memory.largest_batch(work, 32, CPU, ALONE) == 4


def test_what_fits_by_far_is_tried_at_once_and_several_processes_have_more_margin(monkeypatch):
    held, tried = [100], []
    monkeypatch.setattr(memory, "used", lambda device: held[0])
    monkeypatch.setattr(memory, "total", lambda device: 10_000)
    monkeypatch.setattr(memory, "limit", lambda device, share: share * 10_000)

    def work(rows: int) -> None:
        tried.append(rows)
        held[0] = 100 + 10 * rows

    assert memory.largest_batch(work, 64, CPU, ALONE) == 64
    assert tried == [1, 64]
    held[0] = 100
    assert memory.largest_batch(work, 850, CPU, ALONE) == 850
    held[0] = 100
    assert memory.largest_batch(work, 850, CPU, Two()) == 512


class Two(World):
    """As if another process did the same."""

    def __init__(self) -> None:
        super().__init__(size=2)

    def all_reduce_sum(self, *values: float) -> list[float]:
        return [2 * value for value in values]

    def broadcast(self, value):
        return value


def test_memory_that_runs_out_where_others_wait_is_an_error():
    def work(rows: int) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        memory.largest_batch(work, 4, CPU, Two(), fails_alone=False)


def test_other_errors_are_not_taken_for_it():
    def work(rows: int) -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        memory.largest_batch(work, 4, CPU, ALONE)


def test_the_peak_sees_memory_that_is_gone_again():
    before = memory.used(CPU)
    with memory.peak(CPU) as held:
        block = torch.ones(64 * MB // 4)
        del block
    assert held() - before > 48 * MB


def test_a_container_has_its_own_limit(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text(str(300 * MB))
    (tmp_path / "memory.current").write_text(str(240 * MB))
    (tmp_path / "memory.stat").write_text(f"anon 7\ninactive_file {30 * MB}\nactive_file {10 * MB}")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert memory.total(CPU) == 300 * MB
    assert memory.limit(CPU) == pytest.approx(0.9 * (100 * MB + memory.used(CPU)), rel=0.02)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert memory.limit(CPU) == pytest.approx(0.9 * (50 * MB + memory.used(CPU)), rel=0.02)
    (tmp_path / "memory.max").write_text("max")
    assert memory.total(CPU) > 300 * MB
