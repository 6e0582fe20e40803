"""What every tokenizer here is, however it learns or splits: an ordered list of merges.

Ids 0-255 are the bytes themselves, so any text can be written. Each merge then joins two known
ids into the next free one: merge number n makes id 256 + n. Special tokens come after the last
merge. From these alone follow the vocabulary, the way back to text, and the files on disk; how
text becomes ids is left to `basic.py` and `regex.py`.

Byte pair encoding for text: Sennrich, Haddow and Birch 2016, https://arxiv.org/abs/1508.07909;
on bytes: Radford et al. 2019 (GPT-2), section 2.2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

Pair = tuple[int, int]

BYTES = 256  # ids 0-255 stand for themselves


class TokenizerError(ValueError):
    """A tokenizer cannot be made, read or used as asked; the message is one line."""


def count_pairs(ids: Sequence[int]) -> Counter[Pair]:
    """How often each pair of neighbours occurs; overlaps count: (7, 7) is twice in [7, 7, 7]."""
    return Counter(pairwise(ids))


def merge_pair(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """`ids` with every `pair` replaced by `new_id`, from left to right.

    >>> merge_pair([7, 7, 7, 5], (7, 7), 300)
    [300, 7, 5]
    """
    merged: list[int] = []
    i = 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def replace_surrogates(text: str) -> str:
    """`text` as UTF-8 can carry it; nearly always `text` itself.

    A str may hold halves of a UTF-16 pair (a JSON file can smuggle them in), which have no bytes
    in UTF-8. Two halves that belong together become their character, a lone half becomes U+FFFD;
    tiktoken does the same.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class Tokenizer(ABC):
    """The interface of all tokenizers, and everything that follows from the merges alone.

    Attributes:
        merges: (left id, right id) → the id of the two joined, in the order learned.
        vocab: id → the bytes it stands for, without special tokens.
        special: name of a special token → its id; they follow the last merge.
        pattern: name of the pattern that splits text first, None where text stays whole.

    Raises:
        TokenizerError: a merge joins an id that does not exist yet or spells a byte string that
            has an id already; special names are empty or repeated.
    """

    pattern: str | None = None

    def __init__(self, merges: Iterable[Pair] = (), special: Iterable[str] = ()) -> None:
        pairs = list(merges)
        self.vocab = _spell(pairs)
        self.merges = {pair: new_id for new_id, pair in enumerate(pairs, BYTES)}
        self.special = _number(special, first=len(self.vocab))
        names = {special_id: name.encode("utf-8") for name, special_id in self.special.items()}
        self._bytes_of = self.vocab | names

    @property
    def size(self) -> int:
        """How many ids there are: 256 bytes, merges and special tokens; ids run 0 … size - 1."""
        return len(self.vocab) + len(self.special)

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of any text; never those of special tokens, whatever the text says.

        Lone surrogates, which are no characters, are encoded as U+FFFD.
        """

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that the ids stand for; special tokens give their names.

        Raises:
            TokenizerError: an id is outside 0 … size - 1.
        """
        try:
            return b"".join(map(self._bytes_of.__getitem__, ids))
        except KeyError as error:
            raise TokenizerError(
                f"id {error.args[0]} is not in this tokenizer, whose ids run 0 to {self.size - 1}: "
                "decode with the tokenizer that made the ids"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; bytes that are not whole characters show as U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def save(self, path: str | Path) -> None:
        """Write `tokenizer.json`, which `minbpe.load` and the `tokenizers` library open."""
        from minbpe import io  # it builds tokenizers, so it imports this module

        io.save(self, Path(path))

    def save_vocab(self, path: str | Path) -> None:
        """Write `vocab.txt`: every token readable, with the two that it was made of."""
        from minbpe import io

        io.save_vocab(self, Path(path))


def check_vocab_size(vocab_size: int) -> int:
    """The number of merges that make a vocabulary of `vocab_size` without special tokens."""
    if vocab_size < BYTES:
        raise TokenizerError(
            f"vocab_size is {vocab_size}; it counts the {BYTES} bytes, so choose {BYTES} or more"
        )
    return vocab_size - BYTES


def _spell(merges: Sequence[Pair]) -> dict[int, bytes]:
    """The vocabulary that the merges make.

    Two merges with one spelling cannot come out of training. When a token ends up spanning a
    string, its two borders were borders all along; merging runs from left to right and acts
    between such borders as it does on the string alone. So the string is always put together in
    the same way, by the same last merge. (A file can say otherwise, hence the check.)
    """
    vocab = {byte: bytes([byte]) for byte in range(BYTES)}
    spelled = set(vocab.values())
    for new_id, (left, right) in enumerate(merges, BYTES):
        if left not in vocab or right not in vocab:
            raise TokenizerError(f"merge {new_id - BYTES} joins an id that does not exist yet")
        token = vocab[left] + vocab[right]
        if token in spelled:
            raise TokenizerError(f"merge {new_id - BYTES} spells a token that exists already")
        spelled.add(token)
        vocab[new_id] = token
    return vocab


def _number(names: Iterable[str], first: int) -> dict[str, int]:
    """Special names → ids from `first` up, in the order given."""
    special: dict[str, int] = {}
    for name in names:
        if not name or name in special or replace_surrogates(name) != name:
            raise TokenizerError(f"special token {name!r} is empty, repeated or not valid text")
        special[name] = first + len(special)
    return special
