"""What every tokenizer is, however it learns or splits text: an ordered list of merges.

Ids 0-255 are the bytes themselves, so any text can be encoded. Each merge joins two existing ids
into the next free one: merge number n makes id 256 + n. Special tokens follow the last merge. The
vocabulary, decoding and the files on disk follow from these alone; how text becomes ids is left to
`basic.py` and `regex.py`.

Byte pair encoding for text: Sennrich, Haddow and Birch 2016, https://arxiv.org/abs/1508.07909;
on bytes: Radford et al. 2019 (GPT-2), section 2.2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

Pair = tuple[int, int]

BYTES = 256  # ids 0-255 stand for themselves


class TokenizerError(ValueError):
    """A tokenizer cannot be made, read or used as asked; the message is one line."""


def count_pairs(ids: Sequence[int]) -> Counter[Pair]:
    """How often each adjacent pair occurs; overlaps count: (7, 7) occurs twice in [7, 7, 7]."""
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
    """`text` in a form that UTF-8 can encode; nearly always `text` itself.

    A str may contain halves of a UTF-16 surrogate pair (from a JSON file, for instance), which
    UTF-8 cannot encode. Two matching halves become their character, a lone half becomes U+FFFD;
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
        merges: (left id, right id) → the id of the joined token, in the order learned.
        vocab: id → the token's bytes, without special tokens.
        special: name of a special token → its id; these ids follow the last merge.
        pattern: name of the pattern that splits text first; None where text is not split.

    Raises:
        TokenizerError: a merge joins an id that does not exist yet, or makes bytes that already
            have an id; special names are empty or repeated.
    """

    pattern: str | None = None

    def __init__(self, merges: Iterable[Pair] = (), special: Iterable[str] = ()) -> None:
        pairs = list(merges)
        self.vocab = _build_vocab(pairs)
        self.merges = {pair: new_id for new_id, pair in enumerate(pairs, BYTES)}
        self.special = _assign_ids(special, first=len(self.vocab))
        names = {special_id: name.encode("utf-8") for name, special_id in self.special.items()}
        self._bytes_of = self.vocab | names

    @property
    def size(self) -> int:
        """The number of ids: 256 bytes, merges and special tokens. Ids run from 0 to size - 1."""
        return len(self.vocab) + len(self.special)

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of any text; never those of special tokens, whatever the text says.

        Lone surrogates, which are not characters, are encoded as U+FFFD.
        """

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that the ids stand for; a special token stands for its name.

        Raises:
            TokenizerError: an id is outside 0 … size - 1.
        """
        try:
            return b"".join(map(self._bytes_of.__getitem__, ids))
        except KeyError as error:
            raise unknown_id(error.args[0], self.size) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; incomplete characters become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")


def unknown_id(token_id: int, size: int) -> TokenizerError:
    """The error for an id that a tokenizer of this size does not have."""
    return TokenizerError(
        f"id {token_id} is not in this tokenizer, whose ids run 0 to {size - 1}: "
        "decode with the tokenizer that made the ids"
    )


def merges_for(vocab_size: int) -> int:
    """The number of merges in a vocabulary of `vocab_size`, special tokens not counted."""
    if vocab_size < BYTES:
        raise TokenizerError(
            f"vocab_size is {vocab_size}; it counts the {BYTES} bytes, so choose {BYTES} or more"
        )
    return vocab_size - BYTES


def _build_vocab(merges: Sequence[Pair]) -> dict[int, bytes]:
    """The bytes of every token that the merges make.

    Training cannot make two tokens of the same bytes. If a token ends up covering a string, no
    earlier merge crossed that string's two borders; merging runs from left to right and treats
    such a stretch as it treats the string alone. So the same string is always built by the same
    last merge. A file can claim otherwise, hence the check.
    """
    vocab = {byte: bytes([byte]) for byte in range(BYTES)}
    known = set(vocab.values())
    for new_id, (left, right) in enumerate(merges, BYTES):
        if left not in vocab or right not in vocab:
            raise TokenizerError(f"merge {new_id - BYTES} joins an id that does not exist yet")
        token = vocab[left] + vocab[right]
        if token in known:
            raise TokenizerError(f"merge {new_id - BYTES} makes a token that exists already")
        known.add(token)
        vocab[new_id] = token
    return vocab


def _assign_ids(names: Iterable[str], first: int) -> dict[str, int]:
    """Special names → ids from `first` on, in the order given."""
    special: dict[str, int] = {}
    for name in names:
        if not name or name in special or replace_surrogates(name) != name:
            raise TokenizerError(f"special token {name!r} is empty, repeated or not valid text")
        special[name] = first + len(special)
    return special
