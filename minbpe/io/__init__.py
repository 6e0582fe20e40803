"""The files of a tokenizer, one module a format.

| module              | file                             | reads            | writes         |
|---------------------|----------------------------------|------------------|----------------|
| `tokenizer_json.py` | `tokenizer.json` of Hugging Face | `load`           | `save`         |
| `vocab_txt.py`      | `vocab.txt`, for people          |                  | `save_vocab`   |
| `rank_file.py`      | tiktoken's rank file             | `from_tiktoken`  | `to_tiktoken`  |
| `reference.py`      | `.model` of karpathy's minbpe    | `from_reference` | `to_reference` |
| `gguf.py`           | a GGUF model file of llama.cpp   | `from_gguf`      |                |

Reading gives a `RegexTokenizer` (or `BasicTokenizer`) where the file numbers its tokens as ours
do: the bytes in order, the merges, then the special tokens. Any other numbering is kept by a
`PretrainedTokenizer`. Whatever is wrong with a file, the error is one `TokenizerError` line.
"""

from __future__ import annotations

from pathlib import Path

from minbpe.base import Tokenizer, TokenizerError
from minbpe.io.files import parse_json, read_text
from minbpe.io.gguf import from_gguf
from minbpe.io.rank_file import from_tiktoken, to_tiktoken
from minbpe.io.reference import from_reference, to_reference
from minbpe.io.tokenizer_json import from_ours, is_ours, save
from minbpe.io.vocab_txt import save_vocab
from minbpe.pretrained import PretrainedTokenizer

__all__ = [
    "from_gguf",
    "from_reference",
    "from_tiktoken",
    "load",
    "save",
    "save_vocab",
    "to_reference",
    "to_tiktoken",
]


def load(path: str | Path) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`, or of a Hugging Face folder that has one.

    A file of ours opens as what it was saved from; somebody else's as a `PretrainedTokenizer`.

    Raises:
        TokenizerError: the file cannot be read, is damaged, or is of a kind that cannot write
            every text.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "tokenizer.json"
    content = read_text(path)
    document = parse_json(content, path)
    if is_ours(document):
        return from_ours(document, path)
    try:
        return PretrainedTokenizer(content)
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from None
