"""What is taken out of a chat before a model learns from it.

`rules` is the table, `clean` applies it.
"""
