"""Other people's texts to learn a language from, as a stream of documents.

`names.py` finds the split that file names tell, `plain.py` and `rows.py` read a format each, and
`Corpus` in `parts.py` shares the documents out to training, validation and test.
"""

from pipeline.corpus.parts import Corpus
from pipeline.corpus.piece import Part, Piece

__all__ = ["Corpus", "Part", "Piece"]
