"""Who names the concept of a head, and who says which of its descriptions fit.

In: descriptions and labels. Out: labels, verdicts, and the opinions behind them. `label` and `judge` are the protocols, the other files
one kind each; `answers` reads what language models reply. Imports llm, scoring's descriptions and taxonomy, the store.
"""
