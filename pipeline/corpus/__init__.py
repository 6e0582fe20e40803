"""Other text to learn a language from: any number of files, read as a stream.

`listing` finds the files and the split each belongs to, `readers` opens each kind of file, and
`documents` gives their documents in pieces of about a megabyte.
"""

from pipeline.corpus.documents import Piece, pieces, size
from pipeline.corpus.listing import Corpus

__all__ = ["Corpus", "Piece", "pieces", "size"]
