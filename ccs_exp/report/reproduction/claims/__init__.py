"""The paper's claims, each with its test: of the paper's own numbers, and of ours.

In: the numbers of Tables 1 to 6 and of the figures' text, or the run folders that a reproduction collected. Out: for each claim a family of
comparisons, how sure each is, and whether the claim holds, does not hold or cannot be told.
"""
