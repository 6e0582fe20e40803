"""One function over many items in processes of their own, results in order, memory bounded.

The processes are spawned, never forked, so that Windows, macOS and Linux do the same. An idle
process is given the next item; the results wait for their turn. A process that loses its parent
ends by itself, and Ctrl-C reaches the parent alone, which ends the others.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

from minbpe.base import TokenizerError

Item = TypeVar("Item")
Result = TypeVar("Result")

SMALL = 4  # items that are done before any process has started
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
    with _processes(function, workers) as connections:
        yield from _in_order(connections, enumerate(stream))


def _in_order(connections: list[Connection], items: Iterator[tuple[int, Any]]) -> Iterator[Any]:
    idle = list(connections)
    running: dict[Connection, int] = {}
    done: dict[int, Any] = {}
    turn = 0

    def hand_out() -> None:
        while idle and len(done) < _WAITING * len(connections):
            number, item = next(items, (None, None))
            if number is None:
                return
            running[idle[-1]] = number
            _send(idle.pop(), item)

    hand_out()
    while running:
        for connection in cast("list[Connection]", wait(list(running))):
            done[running.pop(connection)] = _receive(connection)
            idle.append(connection)
        ready = []
        while turn in done:
            ready.append(done.pop(turn))
            turn += 1
        hand_out()  # first, so that nobody is idle while the caller looks at results
        yield from ready


@contextmanager
def _processes(function: Callable[[Any], Any], count: int) -> Iterator[list[Connection]]:
    context = multiprocessing.get_context("spawn")
    connections, processes = [], []
    try:
        for _ in range(count):
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there, function), daemon=True)
            connections.append(here)
            process.start()
            processes.append(process)
            there.close()  # so that the end of either process is the end of the pipe
        yield connections
    finally:
        for process in processes:
            process.terminate()  # it has nothing to finish: what it was asked for is given up
        for process in processes:
            process.join()
        for connection in connections:
            connection.close()


def _work(connection: Connection, function: Callable[[Any], Any]) -> None:
    """The life of a process: an item in, its result or error out, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            item = connection.recv()
            answer: tuple[Any, Exception | None]
            try:
                answer = function(item), None
            except Exception as error:
                answer = None, error
            connection.send(answer)
    except (EOFError, OSError):
        return


def _send(connection: Connection, item: Any) -> None:
    try:
        connection.send(item)
    except OSError:
        raise _ended() from None


def _receive(connection: Connection) -> Any:
    try:
        result, error = connection.recv()
    except (EOFError, OSError):
        raise _ended() from None
    if error is not None:
        raise error
    return result


def _ended() -> TokenizerError:
    return TokenizerError(
        "a worker process ended early: either memory ran out, or a script works with several "
        'processes outside of `if __name__ == "__main__":`; workers=1 needs no other process'
    )
