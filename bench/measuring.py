"""What the benches share: run a command, and watch the memory of all its processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence

import psutil


def watched(arguments: Sequence[str]) -> tuple[str, float]:
    """What `python ARGUMENTS` prints, and the peak in MB of its memory and its children's.

    Memory is the proportional set size (PSS: pages shared by n processes count one n-th for each),
    sampled ten times a second.
    """
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    peaks, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            peaks.append(_pss(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = child.communicate()
    over.set()
    watcher.join()
    if child.returncode:
        raise SystemExit(f"failed: {' '.join(arguments)}")
    return output, max(peaks) / 1e6


def _pss(pid: int) -> float:
    total = 0.0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass  # it ended while it was looked at
    return total
