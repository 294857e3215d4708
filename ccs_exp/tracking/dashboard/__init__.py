"""Weights & Biases beyond single runs: one saved view of a project, and runs rebuilt there from their folders."""
