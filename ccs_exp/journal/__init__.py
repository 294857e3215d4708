"""What jobs and sweeps say of themselves while they run: ``job.json``, ``log.jsonl``, ``sweep.json``.

In: stages that begin and end, and facts about them (`log`). Out: files that ``ccs-exp status`` and the launchers read (`state`). Outside
of a job nothing is written. Imports files.
"""
