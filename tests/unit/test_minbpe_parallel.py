"""Several processes: results in order, errors passed on, nobody left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from minbpe import TokenizerError
from minbpe.counting import _count_batch
from minbpe.parallel import parallel_map
from minbpe.regex import PATTERNS

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [[f"text number {n} " * (1 + n % 7)] for n in range(30)]
count = partial(_count_batch, PATTERNS["gpt4"])


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(workers):
    assert list(parallel_map(count, iter(TEXTS), workers)) == list(map(count, TEXTS))
    assert not multiprocessing.active_children()


def test_a_slow_item_loses_nothing():
    naps = [0.5, *[0.0] * 30]
    assert list(parallel_map(time.sleep, naps, 2)) == [None] * 31


def test_few_items_start_no_process(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: pytest.fail("a process started"))
    assert len(list(parallel_map(count, TEXTS[:3], 2))) == 3
    assert len(list(parallel_map(count, TEXTS, 1))) == 30


def test_an_error_in_a_process_is_raised_here():
    with pytest.raises(ValueError, match="invalid literal"):
        list(parallel_map(int, ["1", "2", "3", "4", "five", "6"], 2))
    assert not multiprocessing.active_children()


class FussyError(Exception):
    """Cannot be put together again elsewhere."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fuss(item):
    raise FussyError(item, item)


def test_an_error_that_cannot_travel_comes_in_words():
    with pytest.raises(TokenizerError, match=r"FussyError: \d and \d"):
        list(parallel_map(fuss, range(6), 2))
    assert not multiprocessing.active_children()


def test_no_more_processes_start_than_there_is_work_for():
    results = parallel_map(abs, range(5), 16)
    assert next(results) == 0
    assert len(multiprocessing.active_children()) <= 5
    assert list(results) == [1, 2, 3, 4]


def test_a_process_that_dies_is_an_error_in_words():
    with pytest.raises(TokenizerError, match="workers=1"):
        list(parallel_map(os._exit, range(6), 2))
    assert not multiprocessing.active_children()


def die_at_nine(text):
    return os._exit(1) if text.startswith("9") else len(text)


def test_a_process_that_dies_amid_items_larger_than_a_pipe_is_an_error_too():
    items = (str(n % 10) * 2_000_000 for n in range(100))
    with pytest.raises(TokenizerError, match="ended early"):
        list(parallel_map(die_at_nine, items, 2))
    assert not multiprocessing.active_children()


def test_results_may_be_abandoned_amid_items_larger_than_a_pipe():
    results = parallel_map(len, ("1" * 2_000_000 for _ in range(100)), 2)
    assert next(results) == 2_000_000
    results.close()
    assert not multiprocessing.active_children()


def test_items_are_read_only_as_they_are_needed():
    read = []
    items = (read.append(n) or TEXTS[n % 30] for n in range(1000))
    results = parallel_map(count, items, 2)
    for _ in range(5):
        next(results)
    assert len(read) < 40
    results.close()
    assert not multiprocessing.active_children()


SCRIPT = """
import sys, time
from minbpe.parallel import parallel_map
if __name__ == "__main__":
    for n, _ in enumerate(parallel_map(time.sleep, [0.05] * 10_000, 2)):
        print(n, flush=True)
"""


def running(tmp_path, **options):
    """A script in the middle of work with two processes."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
    assert process.stdout.readline()
    return process


def ended(process, seconds=10):
    """Whether all who write to the pipe are gone: the process and those that it started."""
    start = time.monotonic()
    process.communicate(timeout=seconds)
    return time.monotonic() - start < seconds


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and process groups")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nobody_is_left_behind(tmp_path, how):
    process = running(tmp_path, start_new_session=True)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: to all of them
    else:
        process.kill()
    assert ended(process)
    assert process.returncode != 0


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and process groups")
def test_ctrl_c_shows_one_traceback_not_one_a_process(tmp_path):
    process = running(tmp_path, start_new_session=True)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert errors.count(b"Traceback") == 1


def test_a_script_without_a_guard_is_told_what_to_do(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace('__name__ == "__main__"', "True"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    assert b"TokenizerError: a worker process ended early" in done.stderr
