"""The laboratory: which choice learns a text better? One command, the same conditions, spreads.

Read in this order: `families.py` (what is compared), `budget.py` (the same size for all),
`text.py` (the same text), `trial.py` (one run), `lengths.py` and `speeds.py` (what is measured
beside the loss), `plan.py` (how many tokens fit the time), `laboratory.py` (the order of runs and
seeds), `ranking.py` (what may be said), `claims.py` (what the courses found), and what a person
sees: `live.py`, `table.py`, `plots.py`, `conclusions.py`. Importing it does not import torch.
"""
