"""Which heads to silence: strategies turn scores into conditions, which are named sets of heads.

In: scores. Out: conditions. Imports scoring and what lies below it.
"""
