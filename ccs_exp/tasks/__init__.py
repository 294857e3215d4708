"""What a model is asked: zero-shot classification, video retrieval, whom it ranks first; all conditions in one pass over the data.

In: a model, data, conditions, an engine. Out: an `Evaluation`, sample by sample. Imports `data`, `clip`, `compute`, `store` and what lies
below them.
"""
