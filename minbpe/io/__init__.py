"""The files of a tokenizer, one module per format.

| module              | file                             | reads              | writes         |
|---------------------|----------------------------------|--------------------|----------------|
| `tokenizer_json.py` | `tokenizer.json` of Hugging Face | `load`             | `save`         |
| `vocab_txt.py`      | `vocab.txt`, for people          |                    | `save_vocab`   |
| `rank_file.py`      | tiktoken's rank file             | `from_tiktoken`    | `to_tiktoken`  |
| `reference.py`      | `.model` of karpathy's minbpe    | `from_reference`   | `to_reference` |
| `gguf.py`           | metadata of a GGUF model file    | `from_gguf`        |                |

Reading returns a `RegexTokenizer` (or `BasicTokenizer`) if the file numbers its tokens as ours do:
the bytes in order, the merges, then the special tokens. Any other numbering is preserved by a
`PretrainedTokenizer`. Whatever is wrong with a file, the error is a `TokenizerError` of one line.
"""

from __future__ import annotations

from pathlib import Path

from minbpe.base import Tokenizer, TokenizerError
from minbpe.io.gguf import from_gguf
from minbpe.io.pretrained import PretrainedTokenizer
from minbpe.io.rank_file import from_tiktoken, to_tiktoken
from minbpe.io.reference import from_reference, to_reference
from minbpe.io.text_file import read_text, write_text
from minbpe.io.tokenizer_json import document_of, dump_json, from_ours, is_ours, parse_json
from minbpe.io.vocab_txt import save_vocab

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
    """The tokenizer of a `tokenizer.json`, or of a Hugging Face folder that contains one.

    A file written by `save` opens as the tokenizer it was saved from; anybody else's as a
    `PretrainedTokenizer`.

    Raises:
        TokenizerError: the file cannot be read, is damaged, or is of a kind that cannot encode
            every text.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "tokenizer.json"
    content = read_text(path)
    try:
        document = parse_json(content)
        return from_ours(document) if is_ours(document) else PretrainedTokenizer(content)
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from None


def save(tokenizer: Tokenizer, path: str | Path) -> None:
    """Write `tokenizer.json`, which `load` and the `tokenizers` library open.

    Raises:
        TokenizerError: a special token has the name of an ordinary one.
    """
    if isinstance(tokenizer, PretrainedTokenizer):
        write_text(Path(path), tokenizer.content)
    else:
        write_text(Path(path), dump_json(document_of(tokenizer)))
