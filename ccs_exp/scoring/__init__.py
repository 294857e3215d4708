"""From a head's contributions to its score: decompose, TEXTSPAN, label, judge, count.

In: a model, probe images and a pool, or descriptions that are there already. Out: five descriptions, a label, verdicts and a CCS for
every scored head, and how firm that is (`robustness`). `judges/` names and judges, all else is in files of one step each. Imports
clip, data, compute, llm, store and what stands below them.
"""
