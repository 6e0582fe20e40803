"""Text classification: a table of texts and labels → a folder that labels texts.

In reading order:

    train_and_predict.py  `classify train` and `classify predict`
    csv_table.py          a CSV file → texts and labels
    splits.py             train, validation and test split
    backbone.py           the decoder and tokenizer to start from
    text_encoder.py       texts → token ids, at most one block each
    train_classifier.py   the training loop, and prediction
    frozen_blocks.py      hidden states of blocks that are not trained, computed once
    classification_scores.py  accuracy, macro F1, confusion; the TF-IDF baseline
    classifier_folder.py  the result on disk
"""
