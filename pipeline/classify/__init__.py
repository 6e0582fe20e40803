"""Text classification by our own decoder: a table of texts and labels → a folder that labels texts.

Read in this order; each file is one step of the road:

    table.py     a CSV file → texts and labels
    parts.py     texts to learn from, to stop by, and to test with
    base.py      which decoder and tokenizer to begin with
    encode.py    texts → ids of at most one block
    frozen.py    what frozen blocks make of the texts, worked out once
    learn.py     the loop
    measures.py  accuracy, macro F1, confusion
    peer.py      TF-IDF with logistic regression, to compare with
    folder.py    the result on the disk
    verbs.py     `classify train` and `classify predict`
"""
