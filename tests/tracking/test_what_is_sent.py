"""What a run leaves in W&B, and what the view of a sweep asks of it: printed, so that it can be compared (pytest -s -m full)."""

import json

import pytest
from example_run import asked, write_run
from wandb_record import read_record

from ccs_exp.report import write_report
from ccs_exp.tracking.dashboard.view import definition, workspace
from ccs_exp.tracking.tracker import WandbTracker

MODELS = ("vitb32_openai", "vitb32_datacomp", "vitb16_openai", "vitb16_laion", "vitl14_openai", "vitl14_laion")
DATASETS, STRATEGIES = ("cifar10", "food101"), ("high_ccs", "low_ccs", "random")


def metrics(node):
    """The keys that panels show."""
    if isinstance(node, dict):
        yield from node.get("metrics") or ()
        for value in node.values():
            yield from metrics(value)
    elif isinstance(node, list):
        for value in node:
            yield from metrics(value)


@pytest.mark.full
def test_keys_tables_artifacts_size_and_the_view_of_a_sweep(tmp_path):
    write_run(tmp_path, asked=asked("high_ccs", "random"))
    write_report(tmp_path)
    assert WandbTracker().track(tmp_path) == "offline"
    record = read_record(tmp_path)
    size = sum(path.stat().st_size for path in (tmp_path / "wandb").rglob("*") if path.is_file())
    sent = sorted(key for key in record.summary if not key.startswith("_"))
    view = definition(workspace("ours", "", only={"model": MODELS, "dataset": DATASETS, "strategy": STRATEGIES}))
    text = json.dumps(view, ensure_ascii=False)
    print("keys:", *sent, sep="\n  ")
    print("files:", *sorted(record.files), sep="\n  ")
    print("artifacts:", record.artifacts or "none")
    print(f"record: {size:,} bytes")
    print(f"view: {len(text):,} bytes\n{text}")
    named = {key.removeprefix("summary_metrics.") for key in metrics(view) if isinstance(key, str)}
    assert named and not {key for key in named if "/" in key} - set(sent), "the view shows what no run records"
    assert all(name in text for name in (*MODELS, *DATASETS, *STRATEGIES)) and not record.missing
