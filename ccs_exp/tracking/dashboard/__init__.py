"""Many runs in Weights & Biases: one saved view of a project, and runs rebuilt there from their folders.

In: a project's name; run folders, also those of others. Out: the view, and a record for each run. May import what `ccs_exp.tracking` may.
"""
