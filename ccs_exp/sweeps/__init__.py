"""Many jobs: which there are, which are done, failed or running, and what the launchers in ``hydra_plugins`` need.

In: the cells of a sweep, and what its jobs left. Out: plans and states, as lines and tables. Imports `jobs` and what lies below it.
"""
