"""Text ⇄ ids by byte pair encoding, small enough to read in one sitting.

Read the files in this order; each adds one idea. The lesson:

1. `base.py`     what every tokenizer is: merges, a vocabulary, and decoding.
2. `basic.py`    learn merges by counting all pairs again after every merge.
3. `regex.py`    the tokenizer in use: split text into words, keep special tokens out of its reach.

The same, fast and for gigabytes:

4. `stream.py`   text of any length in pieces, cut where no token can cross.
5. `counting.py` count the distinct words once, on all processor cores (`parallel.py`).
6. `trainer.py`  learn the same merges thousands of times faster (compiled loops: `merging.py`).
7. `encoder.py`  the same ids from tiktoken.

Files: `io/`, for our `tokenizer.json` and `vocab.txt` and other people's formats; with
`io/pretrained.py`, which puts anybody's `tokenizer.json` behind the same interface.

    tokenizer = RegexTokenizer.train(texts, vocab_size=1024, special=["<|endoftext|>"])
    tokenizer.decode(tokenizer.encode("hello")) == "hello"
    minbpe.save(tokenizer, "tokenizer.json")
    tokenizer = minbpe.load("tokenizer.json")
"""

from minbpe.base import Tokenizer, TokenizerError
from minbpe.basic import BasicTokenizer
from minbpe.io import load, save, save_vocab
from minbpe.io.pretrained import PretrainedTokenizer
from minbpe.regex import RegexTokenizer

__all__ = [
    "BasicTokenizer",
    "PretrainedTokenizer",
    "RegexTokenizer",
    "Tokenizer",
    "TokenizerError",
    "load",
    "save",
    "save_vocab",
]
