"""Text ⇄ ids by byte pair encoding, small enough to read in one sitting.

Read the files in this order; each adds one idea:

1. `base.py`     what every tokenizer is: merges, a vocabulary, and the way back from ids to text.
2. `basic.py`    the lesson: learn merges by counting all pairs again after every merge.
3. `regex.py`    split the text into words first, and keep special tokens out of reach of text.
4. `stream.py`   take text of any length in pieces, cut where nothing reaches across.
5. `counting.py` count the distinct words once, on all processor cores (`parallel.py`).
6. `trainer.py`  learn the same merges thousands of times faster (its loops: `merging.py`).
7. `encoder.py`  apply them to a piece of any length in nearly linear time.
8. `codec.py`    encode gigabytes: the same ids from tiktoken, on all processor cores.
9. `io/`         the files: `tokenizer.json` and others for programs, `vocab.txt` for people.
10. `pretrained.py` somebody else's `tokenizer.json` behind the same interface.

    tokenizer = RegexTokenizer.train(texts, vocab_size=1024, special=["<|endoftext|>"])
    tokenizer.decode(tokenizer.encode("hello")) == "hello"
    tokenizer.save("tokenizer.json")
    tokenizer = minbpe.load("tokenizer.json")
"""

from minbpe.base import TokenizerError
from minbpe.basic import BasicTokenizer
from minbpe.io import load
from minbpe.pretrained import PretrainedTokenizer
from minbpe.regex import RegexTokenizer

__all__ = ["BasicTokenizer", "PretrainedTokenizer", "RegexTokenizer", "TokenizerError", "load"]
