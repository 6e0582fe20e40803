"""Mixed real text of any size, for the measurements: prose in many scripts, manual pages, and code.

    python bench/corpora.py FOLDER --packages UNPACKED

writes FOLDER/mixed10.txt (10 MB) and FOLDER/mixed100.txt (100 MB). The text comes from what a
Debian mirror and the Python installation carry; UNPACKED holds the packages that `NEEDED` lists:

    apt-get download $(python bench/corpora.py --list)
    for deb in *.deb; do dpkg-deb -x "$deb" UNPACKED; done

Markup is taken out, paragraphs that were seen before are left out, and the documents of the kinds
(Latin script, other scripts, code) take turns in fixed shares in an order that their content alone
decides: the same packages and the same installation give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import html
import re
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

NEEDED = (
    "anarchism",
    "bible-kjv-text",
    "debian-faq",
    "debian-handbook",
    "fortunes-ru",
    "gnome-user-docs",
    "hunspell-ar",
    "installation-guide-amd64",
    "libreoffice-help-hi",
    "manpages-de",
    "manpages-es",
    "manpages-fr",
    "manpages-ja",
    "manpages-pl",
    "manpages-ru",
    "manpages-uk",
    "manpages-zh",
    "python-django-doc",
)

SIZES = {"mixed10.txt": 10_000_000, "mixed100.txt": 100_000_000}
SHARES = {"other": 0.40, "latin": 0.35, "code": 0.25}
LONGEST = 300_000  # bytes of one document
TEXTS = (".html", ".page", ".xml", ".txt", ".md", ".dic", ".rst")

HIDDEN = re.compile(r"(?is)<(script|style|head)\b.*?</\1\s*>|<!--.*?-->|<[^<>]*>")
REQUEST = re.compile(r"(?m)^['.]\\\".*$|^\.[A-Za-z]+ ?")  # of a manual page
FONT = re.compile(r"\\f(?:\[\w*\]|\(..|.)|\\[&c|]")
SPACES = re.compile(r"[ \t]+")
GAP = re.compile(r"\n\s*\n")


def text_of(path: Path) -> str:
    """The text of a file without its markup; nothing of a file that is not UTF-8."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    name = path.name.removesuffix(".gz")
    if name.endswith((".html", ".page", ".xml")):
        return SPACES.sub(" ", html.unescape(HIDDEN.sub(" ", text)))
    if re.search(r"\.\d\w*$", name):
        return FONT.sub("", REQUEST.sub("", text)).replace("\\-", "-")
    return text


def kind_of(text: str) -> str:
    """By the letters in the middle of a text: `latin` or `other`."""
    middle = [c for c in text[len(text) // 3 : len(text) // 3 + 3000] if c.isalpha()]
    return "latin" if sum(c < "\u0250" for c in middle) * 2 > len(middle) else "other"


def files(packages: Path) -> Iterator[tuple[Path, bool]]:
    """Every file that may hold text, and whether it is code."""
    for path in sorted(packages.rglob("*")):
        name = path.name.removesuffix(".gz")
        if not path.is_file() or path.is_symlink():
            continue
        if name.endswith(TEXTS) or "/man/" in path.as_posix() or "/games/fortunes/" in str(path):
            yield path, False
    for folder in ("stdlib", "purelib"):
        for path in sorted(Path(sysconfig.get_path(folder)).rglob("*.py")):
            yield path, True


def documents(packages: Path) -> dict[str, list[bytes]]:
    """The documents of each kind, in an order decided by a hash of each."""
    seen: set[bytes] = set()
    documents: dict[str, list[bytes]] = defaultdict(list)
    for path, code in files(packages):
        kept = []
        for paragraph in GAP.split(text_of(path)):
            digest = hashlib.blake2b(paragraph.encode(), digest_size=8).digest()
            if paragraph.strip() and digest not in seen:
                seen.add(digest)
                kept.append(paragraph.strip("\n"))
        text = "\n\n".join(kept)
        if len(text) > 200:
            document = text.encode()[:LONGEST].decode("utf-8", "ignore").encode() + b"\n\n"
            documents["code" if code else kind_of(text)].append(document)
    for group in documents.values():
        group.sort(key=lambda document: hashlib.blake2b(document, digest_size=8).digest())
    return documents


def mixed(documents: dict[str, list[bytes]], size: int) -> Iterator[bytes]:
    """Documents of `size` bytes in all; always of the kind that is furthest behind its share."""
    sizes = dict.fromkeys(SHARES, 0)
    while sum(sizes.values()) < size and (left := [kind for kind in SHARES if documents[kind]]):
        kind = min(left, key=lambda kind: sizes[kind] / SHARES[kind])
        document = documents[kind].pop()
        sizes[kind] += len(document)
        yield document
    print({kind: f"{count / 1e6:.1f} MB" for kind, count in sizes.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--packages", type=Path, help="where the packages were unpacked")
    parser.add_argument("--list", action="store_true", help="only print the packages' names")
    given = parser.parse_args()
    if given.list:
        print(*NEEDED)
        return
    if given.folder is None or given.packages is None or not given.packages.is_dir():
        print("Needs a FOLDER and --packages UNPACKED with these unpacked in it:", *NEEDED)
        return
    data = b"".join(mixed(documents(given.packages), max(SIZES.values())))
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        if len(data) < size:
            raise SystemExit(f"{name} needs {size - len(data):,} bytes more: unpack all packages")
        part = data[:size].decode("utf-8", "ignore").encode()
        (given.folder / name).write_bytes(part)
        print(name, len(part), "bytes, sha256", hashlib.sha256(part).hexdigest()[:16])


if __name__ == "__main__":
    main()
