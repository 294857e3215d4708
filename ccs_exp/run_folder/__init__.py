"""The format of what a job leaves: a folder of files that reports and trackers read, and nothing else.

In: rows and a summary (what stands in them is made in `jobs`). Out: whole files of known columns (`columns`), and their readers: `folder`
for heads.csv, ccs_at_k.csv, accuracy.csv, predictions.parquet and summary.json, `evidence_files` and `robustness_file` for theirs.
`wording` is how numbers and names are shown to people. Imports files and heads.
"""
