"""A corpus as plain text, JSON lines and Parquet: how fast it is read, and in how much memory.

    PYTHONPATH=. python bench/rows.py             25 and 250 MB of each, half a minute
    PYTHONPATH=. python bench/rows.py --quick     2 and 20 MB

The same invented documents of about 1,400 characters in each format, read piece by piece in a
process of its own. The Parquet file is a single row group, so a reader that takes one at a time
would hold the whole column. Memory is the process's peak, imports included.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from measuring import watched  # noqa: E402
from zipf import text  # noqa: E402

LENGTH = 1400  # characters of a document


def documents(size: int) -> Iterator[str]:
    """Documents of `size` bytes together, or a little more."""
    for block in text(size):  # characters of more than one byte: it ends in between
        for start in range(0, len(block), LENGTH):
            document = block[start : start + LENGTH]
            yield document
            size -= len(document.encode())
            if size <= 0:
                return


def write_txt(path: Path, size: int) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(documents(size))


def write_jsonl(path: Path, size: int) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for document in documents(size):
            file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")


def write_parquet(path: Path, size: int) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"text": list(documents(size))})
    parquet.write_table(table, path, row_group_size=len(table))


WRITERS: dict[str, Callable[[Path, int], None]] = {
    ".txt": write_txt,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
}


def alone(path: Path) -> None:
    """In the measured process: read the training part, and say how fast."""
    from pipeline.corpus import Corpus, pieces

    began = time.perf_counter()
    corpus = Corpus((path,))
    read = sum(len(t.encode()) for piece in pieces(corpus, "train") for t in piece.texts)
    print(f"{read / 1e6 / (time.perf_counter() - began):.0f} MB/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        alone(given.alone)
        return
    with tempfile.TemporaryDirectory() as folder:
        for suffix, write in WRITERS.items():
            for size in (2, 20) if given.quick else (25, 250):
                path = Path(folder) / f"corpus{suffix}"
                write(path, size * 10**6)
                rate, peak = watched([__file__, "--alone", str(path)])
                print(f"{suffix:9s} {size:4d} MB: {rate.strip()}, at most {peak:,.0f} MB")


if __name__ == "__main__":
    main()
