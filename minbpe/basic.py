"""The lesson: byte pair encoding with nothing left out and nothing made fast.

Take the bytes of a text. Find the pair of neighbours that occurs most often, give it a new id,
and put that id wherever the pair stands. Repeat. Every round counts all pairs from scratch, so
training takes (length of the text) x (number of merges) steps: fine for a page, hopeless for a
book. `trainer.py` finds the same merges quickly.

What it leaves out: splitting into words (a merge may run across a space) and special tokens.
"""

from __future__ import annotations

from math import inf

from minbpe.base import (
    BYTES,
    Pair,
    Tokenizer,
    check_vocab_size,
    count_pairs,
    merge_pair,
    replace_surrogates,
)


class BasicTokenizer(Tokenizer):
    """Byte pair encoding on the whole text at once; see `Tokenizer` for the interface."""

    @classmethod
    def train(cls, text: str, vocab_size: int) -> BasicTokenizer:
        """Learn `vocab_size` - 256 merges, fewer when the text has become a single token.

        The most frequent pair is merged first; among equals the one with the smaller left id,
        then the smaller right id, so that the result depends on nothing but the counts.
        """
        ids = text_to_bytes(text)
        merges: list[Pair] = []
        for new_id in range(BYTES, BYTES + check_vocab_size(vocab_size)):
            counts = count_pairs(ids)
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            ids = merge_pair(ids, best, new_id)
            merges.append(best)
        return cls(merges)

    def encode(self, text: str) -> list[int]:
        """Replay the merges in the order they were learned, as far as the text has them."""
        ids = text_to_bytes(text)
        while counts := count_pairs(ids):
            earliest = min(counts, key=lambda pair: self.merges.get(pair, inf))
            if earliest not in self.merges:
                break
            ids = merge_pair(ids, earliest, self.merges[earliest])
        return ids


def text_to_bytes(text: str) -> list[int]:
    """The UTF-8 bytes of a text, which are its first ids."""
    return list(replace_surrogates(text).encode("utf-8"))
