"""The code of the stages, a file each, and `runner`, which runs those that are out of date.

The list of them, with what each reads and writes, is `pipeline/workspace/stages.py`.
"""
