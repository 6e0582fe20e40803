"""The laboratory: which choice learns a text better? One command, the same conditions, spreads.

    families.py    what is compared                budget.py, build.py  the same size; table → run
    text.py        the same text                   trial.py             one run, as a value
    run.py         trains and measures one         lengths.py, speeds.py  beside the loss
    process.py     a process for each run          timing.py, plan.py   how many tokens fit the time
    laboratory.py  the order of runs and seeds     results.py, ranking.py  what may be said
    claims.py      what the courses found          live.py, table.py, plots.py, conclusions.py
    verb.py, study.py  the command                 page.py              results into the docs

Importing it does not import torch.
"""
