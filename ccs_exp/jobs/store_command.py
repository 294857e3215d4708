"""``ccs-exp store``: the store's own command, told how the stages of a job read what they keep."""

from __future__ import annotations

from collections.abc import Sequence

from ccs_exp.store import Entry, command
from ccs_exp.store.command import Unpackers


def main(arguments: Sequence[str] | None = None) -> int:
    return command.main(arguments, unpackers)


def unpackers() -> Unpackers:
    """How each kind of entry is read; what that raises on, no job can use."""
    from ccs_exp.jobs.resume import JOBS, unpack_job  # late: `ls` and `gc` need none of it, and much of it imports torch
    from ccs_exp.jobs.weights import WEIGHTS, unpack_weights
    from ccs_exp.scoring.ccs import unpack_scores
    from ccs_exp.scoring.contributions import unpack_contributions
    from ccs_exp.scoring.decompose import unpack_skipped
    from ccs_exp.scoring.describe import unpack_spans
    from ccs_exp.scoring.donors import unpack_layer
    from ccs_exp.scoring.moments import unpack_moments
    from ccs_exp.scoring.output_means import unpack_sums
    from ccs_exp.store import unpack_tensors
    from ccs_exp.store.states import HASHES, unpack_hash
    from ccs_exp.tasks.kept import unpack_evaluation

    def text_embeddings(entry: Entry) -> object:
        return unpack_tensors(entry.members, value=(entry.key["count"], None))

    return {
        HASHES: lambda entry: unpack_hash(entry.members),
        WEIGHTS: lambda entry: unpack_weights(entry.members),
        "text_embeddings": text_embeddings,
        "moments": lambda entry: (unpack_moments(entry.members), unpack_skipped(entry.members)),
        "contributions": lambda entry: (unpack_contributions(entry.members), unpack_skipped(entry.members)),
        "output_sums": lambda entry: (unpack_sums(entry.members), unpack_skipped(entry.members)),
        "donors": lambda entry: unpack_layer(entry.key["layer"], entry.members),
        "descriptions": lambda entry: (unpack_spans(entry.members), unpack_skipped(entry.members)),
        "scores": lambda entry: unpack_scores(entry.members),
        "evaluations": unpack_evaluation,
        JOBS: lambda entry: unpack_job(entry.members),
    }
