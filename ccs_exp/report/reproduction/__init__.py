"""Many run folders beside the paper's numbers: every table and figure in the paper's own arrangement, as one page and as files.

In: run folders. Out: ``reproduction.html``, ``cells.csv``, ``tables.md``, ``tables.tex``. Imports what `ccs_exp.report` may.
"""
