"""The columns and keys of a run folder's files, by name: one place for all who write or read them."""

from __future__ import annotations

from ccs_exp.heads import DESCRIPTIONS_PER_HEAD

SCHEMA_VERSION = 2  # of run folders: raised where what stands in a file means something else; others are refused
CCS_CLASSES = ("high", "moderate", "low")
VERDICTS = ("aligned", "not_aligned", "unjudged")
DESCRIPTION_COLUMNS = tuple(f"description_{number}" for number in range(1, DESCRIPTIONS_PER_HEAD + 1))
VERDICT_COLUMNS = tuple(f"verdict_{number}" for number in range(1, DESCRIPTIONS_PER_HEAD + 1))
HEADS_COLUMNS = (
    *("model", "layer", "head", "label", "ccs", "ccs_class"),
    *DESCRIPTION_COLUMNS,
    *VERDICT_COLUMNS,
    "explained_variance",
)
ACCURACY_COLUMNS = ("model", "dataset", "task", "condition", "num_pruned", "metric", "value", "delta")
PREDICTION_COLUMNS = ("sample_id", "task", "condition", "target", "prediction", "correct", "margin", "log_probability")
RETRIEVAL_COLUMNS = ("query_id", "task", "condition", "direction", "rank", "margin")
UNCERTAINTY_COLUMNS = (
    *("model", "dataset", "task", "condition", "strategy", "seed", "num_pruned", "metric"),
    *("value", "value_low", "value_high", "delta", "delta_low", "delta_high", "interval"),
    *("lost", "gained", "p_original", "p_original_holm", "p_matched", "matched_sets"),
)
TABLES = {
    "heads.csv": HEADS_COLUMNS,
    "ccs_at_k.csv": ("k", "fraction"),
    "accuracy.csv": ACCURACY_COLUMNS,
    "uncertainty.csv": UNCERTAINTY_COLUMNS,
    "robustness.csv": ("kind", "draw", "head", "label", "label_of", "ccs", "ccs_class", *VERDICT_COLUMNS),
    "verdicts.csv": (
        *("head", "label", "number", "description", "judge", "verdict", "p_aligned", "confidence"),
        *("model", "fingerprint", "reply", "reason"),
    ),
    "judges.csv": ("head", "judge", "ccs", "expected_ccs"),
}
REPLIES_FILE = "replies.jsonl"
SUMMARY_KEYS = (
    *("model", "dataset", "config_hash", "ccs_at_k", "accuracy", "delta", "random"),
    *("skipped", "unjudged", "from_store", "warnings"),
)
OPTIONAL_SUMMARY_KEYS = (
    *("metric", "num_samples", "ties", "heads_per_class"),
    *("tagged_share", "weights", "decoder", "choices", "robustness", "asked", "ran", "evidence", "atlas"),
)
EVIDENCE_FILES = (  # their columns are those of the measures (`ccs_exp.evidence`)
    *("effects.csv", "causal_map.csv", "nulls.csv", "curve.csv", "represents.csv", "detection.csv"),
    *("intruder.csv", "sufficiency.csv", "stability.csv", "evidence.csv", "skew.csv", "skew_means.csv", "group_accuracy.csv"),
)
PRIMARY_METRICS = ("top1", "t2v_R@1")  # each task's own: what stands for it where one number is wanted
