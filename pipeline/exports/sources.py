"""The text files in what a user points at: a file, a .zip, or a folder of them.

Archives are read in place; nothing is unpacked. What an archive claims to contain is checked before
it is read, and an archive that no phone would write is refused.
"""

from __future__ import annotations

import codecs
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TextIO

from pipeline.common.errors import ExportError

MAX_TEXT_BYTES = 2 << 30  # in one archive; an export is far smaller
MAX_RATIO = 200  # of the size of a text to its compressed size, …
_RATIO_CHECKED_FROM = 8 << 20  # … for texts of this many bytes or more

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)

# How a text begins, and its encoding; the last two are UTF-16 without a byte order mark.
_ENCODINGS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(re.escape(codecs.BOM_UTF32_LE)), "utf-32"),
    (re.compile(re.escape(codecs.BOM_UTF16_LE) + b"|" + re.escape(codecs.BOM_UTF16_BE)), "utf-16"),
    (re.compile(rb"[^\0]\0[^\0]\0"), "utf-16-le"),
    (re.compile(rb"\0[^\0]\0[^\0]"), "utf-16-be"),
)


@dataclass(frozen=True)
class Source:
    """One text file. `name` is how messages to the user call it; `folder` is what contains it."""

    name: str
    folder: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]

    @contextmanager
    def text(self) -> Iterator[TextIO]:
        """The decoded text with its line breaks unchanged. UTF-8 unless it begins otherwise."""
        try:
            with self.open() as raw:
                head = raw.read(4)
            encoding = next((name for start, name in _ENCODINGS if start.match(head)), "utf-8-sig")
            with self.open() as raw, io.TextIOWrapper(raw, encoding, newline="\n") as stream:
                yield stream
        except UnicodeDecodeError as error:
            raise ExportError(
                f"{self.name} is not UTF-8 text; give the file as the phone exported it, or save it"
                " as UTF-8"
            ) from error
        except _DAMAGED as error:
            raise ExportError(f"{self.name} is damaged; copy it from the phone again") from error
        except OSError as error:
            reason = error.strerror or "no reason given"
            raise ExportError(f"{self.name} cannot be opened: {reason}") from error

    def is_empty(self) -> bool:
        with self.text() as stream:
            return not stream.read(1)


def find_sources(path: Path, is_export: Callable[[str], bool]) -> list[Source]:
    """The files at `path` that may be exports, sorted by name.

    `path` itself always counts; a file in a folder or an archive counts when `is_export(name)`.
    Raises ExportError when `path` does not exist or is an archive that cannot be read safely.
    """
    if not path.exists():
        raise ExportError(f"{path} does not exist; give the .txt or .zip that WhatsApp exported")
    if not path.is_dir():
        return _in_file(path, is_export)
    files = sorted(file for file in path.rglob("*") if file.is_file() and _is_visible(file.parts))
    sources: list[Source] = []
    for file in files:
        if file.suffix.lower() == ".zip" or is_export(file.name):
            sources += _in_file(file, is_export)
    return sources


def _is_visible(parts: tuple[str, ...]) -> bool:
    """False for what macOS adds to folders and archives."""
    return "__MACOSX" not in parts and not parts[-1].startswith(".")


def _in_file(path: Path, is_export: Callable[[str], bool]) -> list[Source]:
    if zipfile.is_zipfile(path):
        return _in_zip(path, is_export)
    if path.suffix.lower() == ".zip":
        raise ExportError(f"{path.name} is not a whole zip file; copy it from the phone again")
    return [Source(path.name, str(path.parent), lambda: path.open("rb"))]


def _in_zip(path: Path, is_export: Callable[[str], bool]) -> list[Source]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(archive.infolist(), key=lambda member: member.filename)
    except (OSError, UnicodeDecodeError, *_DAMAGED) as error:
        raise ExportError(f"{path.name} is damaged; copy it from the phone again") from error
    texts: list[zipfile.ZipInfo] = []
    for member in members:
        _refuse_outside(path, member)
        parts = PurePosixPath(member.filename).parts
        is_file = not member.is_dir() and not stat.S_ISLNK(member.external_attr >> 16)
        if parts and is_file and _is_visible(parts) and is_export(parts[-1]):
            _refuse_unsafe(path, member)
            texts.append(member)
    if sum(member.file_size for member in texts) > MAX_TEXT_BYTES:
        raise ExportError(f"{path.name} holds more text than a phone writes; export the chat again")
    return [
        Source(
            f"{path.name}/{member.filename}",
            f"{path}/{PurePosixPath(member.filename).parent}",
            _member_opener(path, member),
        )
        for member in texts
    ]


def _refuse_outside(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse a name that leads out of the folder into which somebody unpacks the archive."""
    name = PurePosixPath(member.filename.replace("\\", "/"))
    has_drive = name.parts[0:1] and name.parts[0].endswith(":")
    if name.is_absolute() or ".." in name.parts or has_drive:
        raise ExportError(
            f"{path.name} names a file outside itself, which no phone does; do not unpack it, and"
            " export the chat again"
        )


def _refuse_unsafe(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse an encrypted text, and one so large that it must be a zip bomb."""
    if member.flag_bits & 1:
        raise ExportError(f"{path.name} is encrypted; unpack it and give the folder instead")
    ratio = member.file_size / max(member.compress_size, 1)
    is_bomb = member.file_size > _RATIO_CHECKED_FROM and ratio > MAX_RATIO
    if member.file_size > MAX_TEXT_BYTES or is_bomb:
        raise ExportError(
            f"{path.name} holds a text of {member.file_size:,} bytes, too large for a chat;"
            " export the chat again without media"
        )


def _member_opener(
    path: Path, member: zipfile.ZipInfo
) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    @contextmanager
    def open_member() -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(path) as archive, archive.open(member) as raw:
            yield raw

    return open_member
