"""Errors that a user can cause and fix.

A `SoundalikeError` is shown as one line: what is wrong, where, and what to do next. It never
carries the text of a message. Anything else that escapes is a bug of ours and shows a traceback.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager


class SoundalikeError(Exception):
    """The user can fix this; the message is the whole line they see."""


class ExportError(SoundalikeError):
    """A file that was given as a chat export cannot be read as one."""


class SettingsError(SoundalikeError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another."""


class WorkspaceError(SoundalikeError):
    """A workspace's files are missing, damaged, busy, or from a newer version."""


class DataError(SoundalikeError):
    """There is too little of something to go on."""


class TrainingDiverged(DataError):
    """A training diverged, at every lower learning rate that was tried too."""


class ServerError(SoundalikeError):
    """A server that the user named cannot be reached, or refuses."""


# As torch, gloo and NCCL have it.
LOST = ("closed by peer", "reset by peer", "closed by remote peer", "broken pipe")
SHORT = ("out of memory", "can't allocate memory", "not enough memory")  # as torch has it
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EACCES, errno.EPERM)


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out, the processor's or a card's."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in SHORT)


def in_words(error: Exception) -> str | None:
    """One line for what a user can fix; None for a bug of ours."""
    if isinstance(error, SoundalikeError):
        return str(error)
    if ran_out(error):
        return (
            "Memory ran out; close other programs and run the same command again (to train with "
            "less, set a smaller model.block or model.size)."
        )
    if isinstance(error, RuntimeError) and any(word in str(error).lower() for word in LOST):
        return "Another of the processes that train together has ended; its own line says why."
    if not isinstance(error, OSError) or error.errno is None:
        return None
    where = f" at {error.filename}" if error.filename else ""
    if error.errno in FULL:
        return f"The disk is full{where}; free some space and run the same command again."
    if error.errno in REFUSED:
        return (
            f"The system refuses access{where}; close what else uses it (an open chat, an editor) "
            "and run the same command again."
        )
    return f"{os.strerror(error.errno)}{where}; fix that and run the same command again."


@contextmanager
def one_line() -> Iterator[None]:
    """Re-raise the one-line errors of `minbpe` and `transformer` as `WorkspaceError`."""
    try:
        yield
    except ValueError as error:
        if type(error).__module__.partition(".")[0] not in ("minbpe", "transformer"):
            raise
        raise WorkspaceError(str(error)) from error
