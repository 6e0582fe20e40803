"""Somebody else's `tokenizer.json` behind our interface, run by the library it was made for.

A pretrained model comes with its own tokenizer: other ids for the bytes, another pattern, a
normalizer, special tokens anywhere. The `tokenizers` library does the work, so ids are the same
as the model was trained with. What this file adds are the promises of `Tokenizer`: text never
becomes control, nothing is put before or after it, and ids lead back to bytes.

Two families of byte pair encoding can write any text, and only these are taken: byte-level ones
(GPT-2, Llama 3, Qwen, SmolLM) and those that fall back to bytes (SentencePiece: Llama 2).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from minbpe.base import Tokenizer, TokenizerError, replace_surrogates
from minbpe.io.alphabet import unspell
from minbpe.io.files import dump_json, write
from minbpe.io.runnable import first_line, is_byte_level, open_library, runnable
from minbpe.io.tokenizer_json import added_token

if TYPE_CHECKING:
    import tokenizers

LARGEST_ID = 1 << 22  # the largest vocabularies have a quarter of a million tokens
SPACE = "▁"  # SentencePiece's letter for a space
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class PretrainedTokenizer(Tokenizer):
    """A `tokenizer.json` that the `tokenizers` library runs; see `Tokenizer` for the interface.

    `special` are the tokens that the file marks as special. Tokens that it adds without that mark
    (runs of spaces, say) are part of ordinary text, as the model has learned them. Ids need not
    be without gaps: `size` is the largest id + 1, and an id between that no token has stands for
    no bytes.

    Raises:
        TokenizerError: the content is damaged, or its tokenizer cannot write every text.
    """

    def __init__(self, content: str) -> None:
        self._content = content
        try:
            self._document = runnable(json.loads(content))
            self._added = {t["content"]: t for t in self._document["added_tokens"]}
            self._read_vocabulary()
            library = open_library(self._document)
            if any(library.token_to_id(name) != t["id"] for name, t in self._added.items()):
                raise TokenizerError("damaged: tokenizers numbers its special tokens otherwise")
            self._libraries = {frozenset[str](): library}
            self._lead = self._find_lead()
        except TokenizerError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise TokenizerError(f"damaged: {first_line(error)}") from None

    def _read_vocabulary(self) -> None:
        model = self._document["model"]
        to_bytes = _byte_level_bytes if is_byte_level(self._document) else _fallback_bytes
        named = {name: token["id"] for name, token in self._added.items()}
        ids: dict[str, int] = {**model["vocab"], **named}
        if len(set(ids.values())) != len(ids) or any(
            named[name] != model["vocab"].get(name, named[name]) for name in named
        ):
            raise TokenizerError("damaged: two tokens share an id, or one token has two")
        if "" in ids:
            raise TokenizerError("damaged: a token is empty")
        if not all(type(i) is int and 0 <= i < LARGEST_ID for i in ids.values()):
            raise TokenizerError(f"damaged: an id is outside 0 to {LARGEST_ID - 1:,}")
        self.special = {n: i for n, i in named.items() if self._added[n]["special"]}
        self._bytes_of = {
            i: token.encode("utf-8") if token in named else to_bytes(token)
            for token, i in sorted(ids.items(), key=lambda row: row[1])
        }
        self._size = max(self._bytes_of, default=-1) + 1
        control = set(self.special.values())
        self.vocab = {i: token for i, token in self._bytes_of.items() if i not in control}
        self.merges = {
            (ids[left], ids[right]): ids[left + right] for left, right in model["merges"]
        }

    def __reduce__(self) -> tuple[type[PretrainedTokenizer], tuple[str]]:
        """Its file is all there is to it, so it can be sent to other processes."""
        return PretrainedTokenizer, (self._content,)

    @property
    def size(self) -> int:
        """The number of rows that an embedding needs: the largest id + 1."""
        return self._size

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> list[int]:
        """The ids of a text, without anything before or after it.

        Only special tokens named in `allowed_special` are recognised, with the file's own habits
        (such as taking in the space beside them).

        Raises:
            TokenizerError: `allowed_special` names a token that this tokenizer does not have.
        """
        if unknown := set(allowed_special) - set(self.special):
            raise TokenizerError(
                f"no special token {min(unknown)!r}: this tokenizer has {list(self.special)}"
            )
        allowed = frozenset(allowed_special)
        forbidden = {i for name, i in self.special.items() if name not in allowed}
        return _encode(self._library(allowed), replace_surrogates(text), forbidden)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that the ids stand for, one after the other; special tokens give their names.

        A tokenizer that puts a space before every text gives that space back here; `decode`
        takes it away.

        Raises:
            TokenizerError: an id is outside 0 … size - 1.
        """
        last = self._size - 1
        pieces = []
        for token_id in ids:
            if not 0 <= token_id <= last:
                raise TokenizerError(
                    f"id {token_id} is not in this tokenizer, whose ids run 0 to {last}: "
                    "decode with the tokenizer that made the ids"
                )
            pieces.append(self._bytes_of.get(token_id, b""))
        return b"".join(pieces)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; bytes that are not whole characters show as U+FFFD."""
        return self.decode_bytes(ids).removeprefix(self._lead).decode("utf-8", errors="replace")

    def with_special(self, names: Iterable[str]) -> PretrainedTokenizer:
        """The same tokenizer with these special tokens too; new ones follow the largest id.

        Raises:
            TokenizerError: a name is empty, repeated, or an ordinary token already.
        """
        document = json.loads(self._content)
        ordinary = document["model"]["vocab"].keys() | self._added.keys()
        new: list[str] = []
        for name in names:
            if name in self.special:
                continue
            if not name or name in ordinary or name in new or replace_surrogates(name) != name:
                raise TokenizerError(
                    f"special token {name!r} is empty, repeated or an ordinary token already"
                )
            new.append(name)
        document["added_tokens"] = [
            *(document.get("added_tokens") or []),
            *(added_token(name, i) for i, name in enumerate(new, self.size)),
        ]
        return PretrainedTokenizer(dump_json(document))

    def save(self, path: str | Path) -> None:
        """Write the `tokenizer.json` that this tokenizer is."""
        write(Path(path), self._content)

    def _library(self, allowed: frozenset[str]) -> tokenizers.Tokenizer:
        """The library's tokenizer that recognises these special tokens in text, and no others.

        The library leaves tokens marked special alone when told to; so the allowed ones lose the
        mark, and keep everything else.
        """
        if allowed not in self._libraries:
            added = [t | {"special": name not in allowed} for name, t in self._added.items()]
            for token in added:
                token["special"] &= token["content"] in self.special
            self._libraries[allowed] = open_library(self._document | {"added_tokens": added})
        return self._libraries[allowed]

    def _find_lead(self) -> bytes:
        """What is put before every text: nothing, or a space."""
        return self.decode_bytes(self.encode("a")).removesuffix(b"a")


def _byte_level_bytes(token: str) -> bytes:
    spelled = unspell(token)
    return token.encode("utf-8") if spelled is None else spelled


def _fallback_bytes(token: str) -> bytes:
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(SPACE, " ").encode("utf-8")


def _encode(library: tokenizers.Tokenizer, text: str, forbidden: Collection[int]) -> list[int]:
    """The ids of a text, none of them forbidden.

    A vocabulary may spell a special token's name as an ordinary token too. Where that would come
    out, the text is cut inside the name, and the parts are encoded by themselves.
    """
    encoding = library.encode(text, add_special_tokens=False)
    ids: list[int] = encoding.ids
    if not any(i in forbidden for i in ids):
        return ids
    parts: list[str] = []
    begin = 0
    for token_id, (start, end) in zip(ids, encoding.offsets, strict=True):
        if token_id in forbidden:
            middle = (start + end) // 2
            parts.append(text[begin:middle])
            begin = middle if end - start > 1 else end  # a name of one letter is lost
    parts.append(text[begin:])
    if text in parts:  # nothing was cut, so nothing would change
        return [i for i in ids if i not in forbidden]
    return [i for part in parts for i in _encode(library, part, forbidden)]
