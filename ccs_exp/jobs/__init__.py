"""One job, from top to bottom: `experiment` is the order, the others its steps.

In: a composed, checked configuration and a folder to write to. Out: a complete run folder, and what later jobs find in the store.
`assemble` builds what the configuration names; `load_stage`, `score_stage`, `evaluate_stage` are the stages, `encode` what two of them
share; `csv_rows` and `summary_json` say what stands in the folder's files; `keys` names what is kept, `decisive` the settings that count
for that, `resume` answers finished jobs. Imports every room below; `sweeps` and the two faces import it.
"""
