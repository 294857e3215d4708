"""How sure a number is: intervals, paired and grouped resampling, corrections, rank correlations, areas, agreement, pooled estimates.

Comes in: numbers and groups. Goes out: intervals, p-values, estimates. Imports nothing of the package.
"""
