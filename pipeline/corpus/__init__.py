"""Other people's text to learn a language from: any number of files, read as a stream.

`files` says which files there are and which part each belongs to, `readers` opens each kind, and
`parts` hands out their documents in pieces of about a megabyte.
"""

from pipeline.corpus.files import Corpus
from pipeline.corpus.parts import Piece, pieces, size

__all__ = ["Corpus", "Piece", "pieces", "size"]
