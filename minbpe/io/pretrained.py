"""Anybody's `tokenizer.json` behind our interface, run by the library it was made for.

A pretrained model comes with its own tokenizer: other ids for the bytes, another pattern, a
normalizer, special tokens anywhere. The `tokenizers` library does the work, so ids are the same
as the model was trained with. This file adds the promises of `Tokenizer`: text never becomes
control, nothing is put before or after it, and ids decode to bytes.

Two families of byte pair encoding can encode any text, and only these are accepted: byte-level ones
(GPT-2, Llama 3, Qwen, SmolLM) and those that fall back to bytes (SentencePiece: Llama 2).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from minbpe.base import Tokenizer, TokenizerError, replace_surrogates, unknown_id
from minbpe.io.tokenizer_json import (
    AddedToken,
    Document,
    added_token,
    dump_json,
    from_letters,
    parse_json,
)

if TYPE_CHECKING:
    import tokenizers

MAX_IDS = 1 << 22  # the largest vocabularies have a quarter of a million tokens
SPACE = "▁"  # SentencePiece's letter for a space
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class PretrainedTokenizer(Tokenizer):
    """A `tokenizer.json` run by the `tokenizers` library; see `Tokenizer` for the interface.

    `special` are the tokens that the file marks as special. Tokens that it adds without that mark
    (runs of spaces, for instance) are part of ordinary text, as the model learned them. Ids may
    have gaps: `size` is the largest id + 1, and an id without a token decodes to no bytes.

    Raises:
        TokenizerError: the content is damaged, or its tokenizer cannot encode every text.
    """

    def __init__(self, content: str) -> None:
        self.content = content
        try:
            self._document = _normalized(parse_json(content))
            self._added = {t["content"]: t for t in self._document["added_tokens"]}
            self._read_vocabulary()
            library = _open_library(self._document)
            if any(library.token_to_id(name) != t["id"] for name, t in self._added.items()):
                raise TokenizerError("damaged: tokenizers numbers its special tokens otherwise")
            self._libraries = {frozenset[str](): library}
            self._leading = self.decode_bytes(self.encode("a")).removesuffix(b"a")  # "" or a space
        except TokenizerError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise TokenizerError(f"damaged: {_first_line(error)}") from None

    def _read_vocabulary(self) -> None:
        model = self._document["model"]
        to_bytes = _byte_level_bytes if _is_byte_level(self._document) else _fallback_bytes
        added = {name: token["id"] for name, token in self._added.items()}
        ids: dict[str, int] = {**model["vocab"], **added}
        if len(set(ids.values())) != len(ids) or any(
            added[name] != model["vocab"].get(name, added[name]) for name in added
        ):
            raise TokenizerError("damaged: two tokens share an id, or one token has two")
        if "" in ids:
            raise TokenizerError("damaged: a token is empty")
        if not all(type(i) is int and 0 <= i < MAX_IDS for i in ids.values()):
            raise TokenizerError(f"damaged: an id is outside 0 to {MAX_IDS - 1:,}")
        self.special = {n: i for n, i in added.items() if self._added[n]["special"]}
        self._bytes_of = {
            i: token.encode("utf-8") if token in added else to_bytes(token)
            for token, i in sorted(ids.items(), key=lambda row: row[1])
        }
        self._size = max(self._bytes_of, default=-1) + 1
        control = set(self.special.values())
        self.vocab = {i: token for i, token in self._bytes_of.items() if i not in control}
        self.merges = {
            (ids[left], ids[right]): ids[left + right] for left, right in model["merges"]
        }

    def __reduce__(self) -> tuple[type[PretrainedTokenizer], tuple[str]]:
        """Pickled as the content of its file, from which all else follows."""
        return PretrainedTokenizer, (self.content,)

    @property
    def size(self) -> int:
        """The number of rows that an embedding needs: the largest id + 1."""
        return self._size

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> list[int]:
        """The ids of a text alone, without special tokens before or after it.

        Only special tokens named in `allowed_special` are recognised, as the file defines them
        (some include the spaces beside them).

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
        """The bytes that the ids stand for; a special token stands for its name.

        If the tokenizer puts a space before every text, the result begins with it; `decode`
        removes it.

        Raises:
            TokenizerError: an id is outside 0 … size - 1.
        """
        tokens = []
        for token_id in ids:
            if not 0 <= token_id < self._size:
                raise unknown_id(token_id, self._size)
            tokens.append(self._bytes_of.get(token_id, b""))
        return b"".join(tokens)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; incomplete characters become U+FFFD."""
        return self.decode_bytes(ids).removeprefix(self._leading).decode("utf-8", errors="replace")

    def with_special(self, names: Iterable[str]) -> PretrainedTokenizer:
        """The same tokenizer with these special tokens too; new ones follow the largest id.

        Raises:
            TokenizerError: a name is empty, repeated, or an ordinary token already.
        """
        document = parse_json(self.content)
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

    def _library(self, allowed: frozenset[str]) -> tokenizers.Tokenizer:
        """The library's tokenizer that recognises these special tokens in text, and no others.

        The library can be told to ignore tokens marked special in text; so the allowed ones lose
        the mark and keep everything else.
        """
        if allowed not in self._libraries:
            added = [token.copy() for token in self._added.values()]
            for token in added:
                token["special"] = token["content"] in self.special.keys() - allowed
            self._libraries[allowed] = _open_library({**self._document, "added_tokens": added})
        return self._libraries[allowed]


# --- tokens as bytes, text as ids ----------------------------------------------------------------


def _byte_level_bytes(token: str) -> bytes:
    decoded = from_letters(token)
    return token.encode("utf-8") if decoded is None else decoded


def _fallback_bytes(token: str) -> bytes:
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(SPACE, " ").encode("utf-8")


def _encode(library: tokenizers.Tokenizer, text: str, forbidden: Collection[int]) -> list[int]:
    """The ids of a text, none of them forbidden.

    A vocabulary may contain a special token's name as an ordinary token too. Where that would
    result, the text is cut inside the name, and the parts are encoded separately.
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
    if text in parts:  # nothing was cut, so encoding again would change nothing
        return [i for i in ids if i not in forbidden]
    return [i for part in parts for i in _encode(library, part, forbidden)]


# --- the document as the library shall run it ----------------------------------------------------


def _normalized(document: Document) -> Document:
    """The document without padding, truncation, dropout and unknown token, and with explicit ids.

    Raises:
        TokenizerError: its tokenizer cannot encode every text, or a merge is malformed. Anything
            else that is malformed raises one of Python's own errors.
    """
    model = document["model"]
    kind = model.get("type", "BPE")
    if kind != "BPE" or not (_is_byte_level(document) or model.get("byte_fallback")):
        raise TokenizerError(
            f"its model is {kind} without bytes, which cannot encode every text: use a tokenizer "
            "of byte-level BPE, or of BPE with byte fallback"
        )
    merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    if not all(len(pair) == 2 and all(isinstance(s, str) for s in pair) for pair in merges):
        raise TokenizerError("damaged: a merge is not of two tokens")
    vocab = dict(model["vocab"])
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added: list[AddedToken] = [
        {**plain, **token, "special": bool(token.get("special"))}  # type: ignore[typeddict-item]
        for token in document.get("added_tokens") or []
    ]
    free = (i for i in range(len(vocab), len(vocab) + len(added)))
    if any(t["content"] not in vocab and t["id"] != next(free) for t in added):
        # Otherwise the library would number these on from the size of the vocabulary.
        vocab |= {t["content"]: t["id"] for t in added}
    return {
        **document,
        "truncation": None,
        "padding": None,
        "post_processor": None,
        "added_tokens": added,
        "model": {
            **model,
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "vocab": vocab,
            "merges": merges,
        },
    }


def _is_byte_level(document: Document) -> bool:
    """Whether a component before the model writes bytes as letters."""
    components: list[object] = [document.get("pre_tokenizer"), document.get("normalizer")]
    while components:
        component = components.pop()
        if isinstance(component, dict):
            if component.get("type") == "ByteLevel":
                return True
            for nested in ("pretokenizers", "normalizers"):
                components += component.get(nested) or []
    return False


def _open_library(document: Document) -> tokenizers.Tokenizer:
    """The library's tokenizer for a document, told that text is not control.

    Raises:
        TokenizerError: the library does not read it.
    """
    import tokenizers

    try:
        library = tokenizers.Tokenizer.from_str(json.dumps(document))
        library.encode_special_tokens = True
        library.encode("a")
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic of the library is no Exception
        raise TokenizerError(f"damaged: tokenizers says: {_first_line(error)}") from None
    return library


def _first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
