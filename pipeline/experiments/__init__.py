"""The laboratory: which choice learns a text better? The same conditions for all, and error bars.

    run_families.py      the command
    study.py             what is left to do, and the results
    variants.py          what is compared
    training_text.py     what everything is trained on
    trial.py             one run as a value: a variant at the common size, on a text
    planning.py          how many steps fit the time
    laboratory.py        the order of runs and seeds
    child_process.py     a process for each run
    run_trial.py         trains and measures one run
    measurements.py      longer contexts, generation speed, cache size
    results.py           what was measured, and which differences are significant
    conclusions.py       sentences about it, also compared with the courses
    result_tables.py     tables in the terminal and in Markdown
    results_page.py      the page with its plots, and into the docs

Importing the room does not import torch.
"""
