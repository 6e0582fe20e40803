"""Apply a function to many items in several processes: results in order, memory bounded.

Processes are spawned, never forked, so Windows, macOS and Linux behave alike. A thread in this
process serves each of them: it sends an item and waits for the result. A worker process whose
parent dies sees its pipe close and exits; Ctrl-C is left to the parent, which stops the workers.

Two libraries were tried instead. joblib keeps its workers after the parent was killed, and reads
ahead of a slow consumer without limit. `ProcessPoolExecutor` hangs before Python 3.11.5 when a
worker dies while an item larger than a pipe's buffer is sent (CPython issue 94777).
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Generic, TypeVar

from minbpe.base import TokenizerError

Item = TypeVar("Item")
Result = TypeVar("Result")

FEW = 4  # fewer items than this are not worth starting a process for
LOOKAHEAD = 2  # items per worker that are read before the first of them has been returned


def cpu_cores() -> int:
    """How many CPU cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))  # type: ignore[attr-defined, unused-ignore]
    except AttributeError:  # Windows and macOS
        return os.cpu_count() or 1


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """`function(item)` for each item, in order; without any other process when items are few.

    `function` must be picklable: a function of a module, or a `partial` of one. `workers` is the
    number of processes, one per core by default; with 1, all work is done in this process. As
    everywhere with multiprocessing, a script must call this under `if __name__ == "__main__":`.

    Raises:
        TokenizerError: a worker process died. Errors of `function` are raised as they are.
    """
    workers = cpu_cores() if workers is None else workers
    items = iter(items)
    first = list(islice(items, FEW)) if workers > 1 else []
    few = len(first) < FEW
    items = chain(first, items)
    del first  # it would keep these items in memory until the end
    if few:
        yield from map(function, items)
        return

    started: list[_Worker[Item, Result]] = []
    idle: SimpleQueue[_Worker[Item, Result]] = SimpleQueue()

    def run(item: Item) -> Result:
        worker = idle.get()
        try:
            return worker.run(item)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(workers)
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            if len(started) < workers:
                started.append(_Worker(function))
                idle.put(started[-1])
            pending.append(threads.submit(run, item))
            while pending and (pending[0].done() or len(pending) >= LOOKAHEAD * workers):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for worker in started:
            worker.process.terminate()
        threads.shutdown(cancel_futures=True)
        for worker in started:
            worker.process.join()
            worker.pipe.close()


class _Worker(Generic[Item, Result]):
    """A process and the pipe to it."""

    def __init__(self, function: Callable[[Item], Result]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        self.process.start()
        self.ready = False
        theirs.close()  # so that the pipe breaks when either process ends

    def run(self, item: Item) -> Result:
        try:
            if not self.ready:  # before that, a dead process on Windows would block `send`
                self._receive()
                self.ready = True
            self.pipe.send(item)
            result, error = self._receive()
        except (EOFError, OSError):
            raise TokenizerError(
                "a worker process ended early: either memory ran out, or a script uses several "
                'processes outside of `if __name__ == "__main__":`; with workers=1 there are none'
            ) from None
        if error is not None:
            raise error
        return result

    def _receive(self) -> tuple[Result, Exception | None]:
        """The next answer. Windows may keep a dead process's pipe open, so both are watched."""
        if self.pipe not in wait([self.pipe, self.process.sentinel]):
            raise EOFError
        answer: tuple[Result, Exception | None] = self.pipe.recv()
        return answer


def _serve(pipe: Connection, function: Callable[[Item], Result]) -> None:
    """What a worker process does: a first message to say that it runs, then an answer per item."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):  # the parent is gone
        pipe.send(None)
        while True:
            pipe.send_bytes(_answer(function, pipe.recv()))


def _answer(function: Callable[[Item], Result], item: Item) -> bytes:
    """The pickled pair of result and error, one of which is None."""
    try:
        return pickle.dumps((function(item), None))
    except BaseException as error:  # a panic in a Rust library is no Exception
        with suppress(Exception):
            answer = pickle.dumps((None, error))
            if isinstance(pickle.loads(answer)[1], Exception):
                return answer
        words = f"a worker process failed: {type(error).__name__}: {error}"
        return pickle.dumps((None, TokenizerError(words)))
