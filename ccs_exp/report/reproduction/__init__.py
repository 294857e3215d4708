"""Many run folders beside the paper's numbers: every table and figure in the paper's own arrangement, as one page and as files.

In: run folders, also those of others. Out: ``reproduction.html``, ``cells.csv``, ``tables.md``, ``tables.tex``, ``claims.csv``; with
``--verify`` ``verification.csv``. Imports what `ccs_exp.report` may, and the defaults of `config`.
"""
