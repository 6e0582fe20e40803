"""The lesson: byte pair encoding, complete but not fast.

Start with the bytes of a text. Find the adjacent pair that occurs most often, give it a new id,
and replace the pair by that id everywhere. Repeat. Every round counts all pairs again, so training
takes (length of the text) × (number of merges) steps: fine for a page, hopeless for a book.
`trainer.py` learns the same merges quickly.

Not here: splitting into words (a merge may cross a space) and special tokens.
"""

from __future__ import annotations

from math import inf

from minbpe.base import (
    BYTES,
    Pair,
    Tokenizer,
    count_pairs,
    merge_pair,
    merges_for,
    replace_surrogates,
)


class BasicTokenizer(Tokenizer):
    """Byte pair encoding of the whole text at once; see `Tokenizer` for the interface."""

    @classmethod
    def train(cls, text: str, vocab_size: int) -> BasicTokenizer:
        """Learn `vocab_size` - 256 merges; fewer if the text becomes a single token before.

        The most frequent pair is merged first; among equally frequent pairs the one with the
        smaller left id, then the smaller right id, so the result depends on the counts alone.
        """
        ids = text_to_bytes(text)
        merges: list[Pair] = []
        for new_id in range(BYTES, BYTES + merges_for(vocab_size)):
            counts = count_pairs(ids)
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            ids = merge_pair(ids, best, new_id)
            merges.append(best)
        return cls(merges)

    def encode(self, text: str) -> list[int]:
        """Apply the merges in the order they were learned, until none applies."""
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
