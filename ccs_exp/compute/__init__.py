"""Running a pass over data: Lightning's Trainer in one place, on one device or by several processes that share the pass.

In: a module and its data. Out: what the pass has found, in the module. Imports `journal`, `files` and `errors`.
Beside it, what libraries import and a job may never use (`imported_late`).
"""
