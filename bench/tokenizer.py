"""Training the tokenizer and encoding with it, beside the fastest peers, in turn in one run.

    python bench/corpora.py FOLDER --packages UNPACKED      the text, once; see there
    python bench/tokenizer.py train FOLDER/mixed10.txt --vocab 16384
    python bench/tokenizer.py train FOLDER/mixed100.txt --vocab 32768
    python bench/tokenizer.py encode FOLDER/mixed100.txt

Each way runs in a process of its own and gets the text as it likes it best: ours is told the file's
name; the peers, which take Python strings, read it in pieces of 256 kB as an iterator, so that they
need not hold it twice. Memory is that of the process and all it starts, imports included; seconds
are of the work alone. `--quick` takes the first megabyte; without a file, a page of these docs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from measuring import watched  # noqa: E402

PATTERN = "gpt4"


def text_of(path: str, size: int = 1 << 18) -> Iterator[str]:
    from minbpe import stream

    with Path(path).open("rb") as file:
        yield from stream.read(file, size=size)


def train_ours(path: str, vocab: int) -> Any:
    from minbpe import RegexTokenizer

    return digest(RegexTokenizer.train(Path(path), vocab, PATTERN).vocab.values())


def train_rustbpe(path: str, vocab: int) -> Any:
    import rustbpe

    from minbpe.regex import PATTERNS

    peer = rustbpe.Tokenizer()
    peer.train_from_iterator(text_of(path), vocab, pattern=PATTERNS[PATTERN])
    return digest(bytes(t) for t, _ in sorted(peer.get_mergeable_ranks(), key=lambda row: row[1]))


def train_tokenizers(path: str, vocab: int) -> Any:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    from minbpe.regex import PATTERNS

    peer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PATTERNS[PATTERN]), "isolated")
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    peer.pre_tokenizer = pre_tokenizers.Sequence([split, letters])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)
    peer.train_from_iterator(text_of(path), trainer)
    return None  # not to be compared: it has another order among equals


def encode_ours(path: str, tokenizer: str) -> Any:
    """Into a memory-mapped file, as stage 4 does, with its journal."""
    from functools import partial

    import numpy as np

    import minbpe
    from minbpe.encoder import id_type, with_tiktoken
    from minbpe.parallel import parallel_map
    from pipeline.training.memmap import ArrayFile, resumable

    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        made = Path(folder) / "ids.bin"
        kept = minbpe.load(tokenizer)
        encode = partial(encode_piece, with_tiktoken(kept), id_type(kept))
        with resumable(made, id_type(kept), "bench") as writer:
            for ids in parallel_map(encode, text_of(path, 1 << 20)):
                writer.append(ids)
                writer.commit()
        with ArrayFile(made) as encoded:
            return [len(encoded), int(np.sum(encoded.values, dtype=np.int64))]


def encode_piece(tokenizer: Any, dtype: str, piece: str) -> Any:
    import numpy as np

    return np.array(tokenizer.encode(piece), dtype)


def encode_tiktoken(path: str, tokenizer: str) -> Any:
    """Into memory: tiktoken writes no file."""
    import tiktoken

    import minbpe
    from minbpe.regex import PATTERNS

    kept = minbpe.load(tokenizer)
    ranks = {token: token_id for token_id, token in kept.vocab.items()}
    peer = tiktoken.Encoding(
        "ours", pat_str=PATTERNS[PATTERN], mergeable_ranks=ranks, special_tokens={}
    )
    encoded = peer.encode_ordinary_batch(list(text_of(path)), num_threads=2)
    return [sum(map(len, encoded)), sum(map(sum, encoded))]


def digest(tokens: Any) -> str:
    import hashlib

    return hashlib.sha256(b"\0".join(tokens)).hexdigest()[:16]


WAYS: dict[str, dict[str, Callable[..., Any]]] = {
    "train": {"ours": train_ours, "rustbpe": train_rustbpe, "tokenizers": train_tokenizers},
    "encode": {"ours": encode_ours, "tiktoken, 2 threads": encode_tiktoken},
}


def one(kind: str, program: str, path: str, argument: str) -> None:
    """In the measured process: a small piece of work first, then the whole."""
    function, value = WAYS[kind][program], int(argument) if kind == "train" else argument
    function(str(ROOT / "minbpe" / "base.py"), value)  # imports, and what numba keeps on disk
    start = time.perf_counter()
    result = function(path, value)
    print(json.dumps([time.perf_counter() - start, result]))


def compare(kind: str, path: Path, argument: str, rounds: int) -> None:
    """All ways in turn, some rounds of it, and the best of each."""
    size = path.stat().st_size / 1e6
    print(f"{kind} {path.name}, {size:.1f} MB")
    best: dict[str, tuple[float, float, Any]] = {}
    for _ in range(rounds):
        for program in WAYS[kind]:
            output, peak = watched([__file__, "one", kind, program, str(path), argument])
            seconds, result = json.loads(output.splitlines()[-1])
            best[program] = min(best.get(program, (seconds, peak, result)), (seconds, peak, result))
            print(
                f"  {program:<20}{seconds:>8.2f} s{size / seconds:>8.2f} MB/s{peak:>8.0f} MB",
                flush=True,
            )
    first, *others = (result for _, _, result in best.values() if result is not None)
    print(f"all give the same, {first}" if others == [first] * len(others) else f"DIFFERENT {best}")
    for program, (seconds, peak, _) in best.items():
        print(f"best {program:<20}{seconds:>8.2f} s{size / seconds:>8.2f} MB/s{peak:>8.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=[*WAYS, "one"], nargs="?", default="train")
    parser.add_argument("words", nargs="*", help="the text's file")
    parser.add_argument("--vocab", type=int, default=16_384)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.kind == "one":
        one(*given.words)
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(given.words[0]) if given.words else ROOT / "docs" / "decisions.md"
        path = source
        if given.quick or not given.words:
            path = Path(folder) / "quick.txt"
            path.write_bytes(source.read_bytes()[:1_000_000].decode("utf-8", "ignore").encode())
        argument = str(given.vocab)
        if given.kind == "encode":
            import minbpe

            argument = str(Path(folder) / "tokenizer.json")
            minbpe.save(minbpe.RegexTokenizer.train(path, given.vocab, PATTERN), argument)
        compare(given.kind, path, argument, given.rounds)


if __name__ == "__main__":
    main()
