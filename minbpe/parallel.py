"""One function over many items in processes of their own, results in order, memory bounded.

The processes are spawned, never forked, so that Windows, macOS and Linux do the same. An idle
process is given the next item; the results wait for their turn. A process that loses its parent
ends by itself, and Ctrl-C reaches the parent alone, which ends the others.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from minbpe.base import TokenizerError

Item = TypeVar("Item")
Result = TypeVar("Result")

SMALL = 4  # items that are done before any process has started, and processes that start at once
_WAITING = 4  # results a process that may wait for one before them


def cores() -> int:
    """How many processes can run at once."""
    try:
        return len(os.sched_getaffinity(0))  # type: ignore[attr-defined, unused-ignore]
    except AttributeError:  # not on Windows and macOS
        return os.cpu_count() or 1


def spread(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """`function` of each item, in order; in this process when there are few items.

    `function` must be picklable, such as a function of a module or a `partial` of one. `workers`
    is the number of processes, None for one a core; with 1 everything happens here. A script
    that calls this must do so under `if __name__ == "__main__":`, as with all of multiprocessing.

    Raises:
        TokenizerError: a process ended before its work was done.
    """
    workers = cores() if workers is None else workers
    stream = iter(items)
    head = list(itertools.islice(stream, SMALL)) if workers > 1 else []
    few = len(head) < SMALL
    stream = itertools.chain(head, stream)
    del head  # it would keep its items for as long as the work takes
    if few:
        yield from map(function, stream)
        return
    with _Team(function, workers) as team:
        yield from team.results(enumerate(stream))


class _Worker:
    """A process and the pipe to it."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, there = context.Pipe()
        self.process = context.Process(target=_work, args=(there, function), daemon=True)
        self.process.start()
        there.close()  # so that the end of either process is the end of the pipe

    def send(self, item: Any) -> None:
        try:
            self.pipe.send(item)
        except OSError:
            raise _ended() from None

    def receive(self) -> Any:
        try:
            result, error = self.pipe.recv()
        except (EOFError, OSError):
            raise _ended() from None
        if error is not None:
            raise error
        return result


class _Team:
    """At most so many workers; more than a few start only while there is work for them."""

    def __init__(self, function: Callable[[Any], Any], most: int) -> None:
        self._function, self._most = function, most
        self._all: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, int | None] = {}  # with which item; None: still starting

    def __enter__(self) -> _Team:
        try:
            for _ in range(min(self._most, SMALL)):
                self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._all:
            worker.process.terminate()  # nothing to finish: what it was asked for is given up
        for worker in self._all:
            worker.process.join()
            worker.pipe.close()

    def results(self, items: Iterator[tuple[int, Any]]) -> Iterator[Any]:
        """What becomes of the items, in order."""
        done: dict[int, Any] = {}
        turn = 0
        more = True
        while more or any(number is not None for number in self._busy.values()):
            for worker in self._ready():
                number, result = self._busy.pop(worker), worker.receive()
                self._idle.append(worker)
                if number is not None:
                    done[number] = result
            ready = []
            while turn in done:
                ready.append(done.pop(turn))
                turn += 1
            # Hand out first, so that nobody is idle while the caller looks at results.
            while more and self._idle and len(done) < _WAITING * self._most:
                number, item = next(items, (None, None))
                more = number is not None
                if more:
                    self._busy[self._idle[-1]] = number
                    self._idle.pop().send(item)
            if more and not self._idle and None not in self._busy.values():
                self._start()
            yield from ready

    def _start(self) -> None:
        if len(self._all) < self._most:
            worker = _Worker(self._function)
            self._all.append(worker)
            self._busy[worker] = None

    def _ready(self) -> list[_Worker]:
        """The workers that have something to say, after waiting for the first.

        A worker may end without its pipe being closed (Windows keeps a handle of one that never
        came to life), so its process is watched too.
        """
        found = wait([x for w in self._busy for x in (w.pipe, w.process.sentinel)])
        spoken = [worker for worker in self._busy if worker.pipe in found]
        if not spoken:
            raise _ended()
        return spoken


def _work(connection: Connection, function: Callable[[Any], Any]) -> None:
    """The life of a process: a greeting, then results for items, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        connection.send((None, None))
        while True:
            connection.send_bytes(_answer(function, connection.recv()))
    except (EOFError, OSError):
        return


def _answer(function: Callable[[Any], Any], item: Any) -> Any:
    """The pickled result and error, of which one is None."""
    try:
        return pickle.dumps((function(item), None))
    except BaseException as error:
        return pickle.dumps((None, _portable(error)))


def _portable(error: BaseException) -> Exception:
    """The error itself where it can travel between processes, else its words."""
    with suppress(Exception):
        travelled = pickle.loads(pickle.dumps(error))
        if isinstance(travelled, Exception):
            return travelled
    return TokenizerError(f"a worker process failed: {type(error).__name__}: {error}")


def _ended() -> TokenizerError:
    return TokenizerError(
        "a worker process ended early: either memory ran out, or a script works with several "
        'processes outside of `if __name__ == "__main__":`; workers=1 needs no other process'
    )
