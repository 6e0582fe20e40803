"""The files that may be chats in what a user points at: a text, a .zip, or a folder of them.

Archives are read in place and nothing is unpacked; what an archive claims to hold is checked before
it is read, and one that no phone would make is refused.
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

LARGEST = 2 << 30  # bytes of one text in an archive; an export ends long before
LARGEST_RATIO = 200  # how much smaller than itself a large text may be packed
_RATIO_FROM = 8 << 20

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
_UNREADABLE_ZIP = (OSError, UnicodeDecodeError, *_UNREADABLE)

Bytes = IO[bytes]

# What a text begins with, and its encoding; the last two are UTF-16 without its mark.
_ENCODINGS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(re.escape(codecs.BOM_UTF32_LE)), "utf-32"),
    (re.compile(re.escape(codecs.BOM_UTF16_LE) + b"|" + re.escape(codecs.BOM_UTF16_BE)), "utf-16"),
    (re.compile(rb"[^\0]\0[^\0]\0"), "utf-16-le"),
    (re.compile(rb"\0[^\0]\0[^\0]"), "utf-16-be"),
)
TEXTS = (".txt",)
OTHERS = (".csv", ".jsonl", ".ndjson", ".json")
TELEGRAM = "result.json"


@dataclass(frozen=True)
class Source:
    """One text file. `name` is what to call it before the user; `folder` what it lies in."""

    name: str
    folder: str
    open: Callable[[], AbstractContextManager[Bytes]]

    @contextmanager
    def text(self) -> Iterator[TextIO]:
        """The decoded text, line breaks as they are: UTF-8, or UTF-16 if it begins so."""
        try:
            with self.open() as raw:
                head = raw.read(4)
            encoding = next((name for sign, name in _ENCODINGS if sign.match(head)), "utf-8-sig")
            with self.open() as raw, io.TextIOWrapper(raw, encoding, newline="\n") as stream:
                yield stream
        except UnicodeDecodeError as error:
            raise ExportError(
                f"{self.name} is not UTF-8 text; give the file as WhatsApp exported it, or save it"
                " as UTF-8"
            ) from error
        except _UNREADABLE as error:
            raise ExportError(f"{self.name} is damaged; copy it from the phone again") from error
        except OSError as error:
            reason = error.strerror or "no reason given"
            raise ExportError(f"{self.name} cannot be opened: {reason}") from error


def find_sources(path: Path) -> list[Source]:
    """Every text file in `path`, by name. Raises ExportError when there is nothing to open."""
    if not path.exists():
        raise ExportError(f"{path} does not exist; give the .txt or .zip that WhatsApp exported")
    if not path.is_dir():
        return _in_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and _is_visible(file.parts))
    sources: list[Source] = []
    for file in files:
        if file.suffix.lower() in (*TEXTS, ".zip") or file.name == TELEGRAM:
            sources += _in_file(file)
    return sources


def _is_visible(parts: tuple[str, ...]) -> bool:
    """Not what a Mac adds to folders and archives."""
    return "__MACOSX" not in parts and not parts[-1].startswith(".")


def _in_file(path: Path) -> list[Source]:
    if zipfile.is_zipfile(path):
        return _in_zip(path)
    if path.suffix.lower() == ".zip":
        raise ExportError(f"{path.name} is not a whole zip file; copy it from the phone again")
    return [Source(path.name, str(path.parent), lambda: path.open("rb"))]


def _in_zip(path: Path) -> list[Source]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(archive.infolist(), key=lambda member: member.filename)
    except _UNREADABLE_ZIP as error:
        raise ExportError(f"{path.name} is damaged; copy it from the phone again") from error
    for member in members:
        _refuse_outside(path, member)
    texts = [member for member in members if _is_text(member)]
    for member in texts:
        _refuse_unsafe(path, member)
    if sum(member.file_size for member in texts) > LARGEST:
        raise ExportError(f"{path.name} holds more text than a phone writes; export the chat again")
    return [
        Source(
            f"{path.name}/{member.filename}",
            f"{path}/{PurePosixPath(member.filename).parent}",
            _opener(path, member),
        )
        for member in texts
    ]


def _is_text(member: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(member.filename).parts
    is_text = member.filename.lower().endswith(TEXTS) or parts[-1:] == (TELEGRAM,)
    return is_text and not member.is_dir() and not _is_link(member) and _is_visible(parts)


def _is_link(member: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(member.external_attr >> 16)


def _refuse_outside(path: Path, member: zipfile.ZipInfo) -> None:
    """A name that would lead out of the folder where somebody unpacks the archive."""
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if (
        name.is_absolute()
        or ".." in name.parts
        or (name.parts[0:1] and name.parts[0].endswith(":"))
    ):
        raise ExportError(
            f"{path.name} names a file outside itself, which no phone does; do not unpack it, and"
            " export the chat again"
        )


def _refuse_unsafe(path: Path, member: zipfile.ZipInfo) -> None:
    if member.flag_bits & 1:
        raise ExportError(f"{path.name} is encrypted; unpack it and give the folder instead")
    ratio = member.file_size / max(member.compress_size, 1)
    if member.file_size > LARGEST or (member.file_size > _RATIO_FROM and ratio > LARGEST_RATIO):
        raise ExportError(
            f"{path.name} holds a text of {member.file_size:,} bytes, too large for a chat;"
            " export the chat again without media"
        )


def _opener(path: Path, member: zipfile.ZipInfo) -> Callable[[], AbstractContextManager[Bytes]]:
    @contextmanager
    def opened() -> Iterator[Bytes]:
        with zipfile.ZipFile(path) as archive, archive.open(member) as raw:
            yield raw

    return opened
