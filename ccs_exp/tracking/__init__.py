"""Weights & Biases as a mirror of finished runs.

In: a run folder, whose ``summary.json`` says what was asked and what ran. Out: one record in ``<run folder>/wandb``, or a run online.
`dashboard` arranges many of them. May import `run_folder`, `files`, `heads`, `errors`.
"""
