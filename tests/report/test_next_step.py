"""What the last line of a job proposes: the job's own command with one thing more."""

import io
import shlex

import pytest
from example_run import CHOICES, head_rows, write_run
from rich.console import Console

from ccs_exp.config.schema import configure
from ccs_exp.journal.state import JobRecord
from ccs_exp.report import show_run

MINE = ("model=open_clip", "model.name=PE-Core-B-16", "model.pretrained=meta", "dataset=food101", "dataset.limit=8", "prune=paper")
WEIGHTS = {"origin": "PE-Core-B-16/meta", "sha256": "0" * 64}
ALONE = {"original": (0, 0.9)} | {f"head/{row['head']}": (1, 0.8) for row in head_rows()}
CASES = {
    "scored": ({}, MINE, [*MINE[:5], "prune=evidence"]),
    "own strategies": ({}, (*MINE[:5], "prune=[high_ccs,random]", "prune.random.seeds=[0]"), [*MINE[:5], "prune=evidence"]),
    "random weights": ({"weights": WEIGHTS | {"sha256": None}}, MINE, [*MINE, "model.weights=CHECKPOINT"]),
    "no data set": ({"dataset": None}, (*MINE[:3], "dataset=none"), [*MINE[:3], "dataset=cifar10"]),
    "published": (
        {"choices": CHOICES | {"ccs": "published"}},
        ("model=vitb32_openai", "ccs=published", "dataset=food101"),
        ["-m", "model=glob(vit*)", "ccs=published", "dataset=food101"],
    ),
    "each head": ({"conditions": ALONE}, MINE, [*MINE, "atlas=true"]),
    "all of it": ({"conditions": ALONE, "atlas": {"contributions": None, "images": 8, "pages": 65}}, MINE, None),
    "bundled": ({"rows": head_rows(model="tiny")}, ("dataset=digits",), ["model=vitb32_openai", "ccs=published", "dataset=cifar10"]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_next_command_is_the_jobs_own_with_one_thing_more(case, tmp_path):
    given, overrides, expected = CASES[case]
    write_run(tmp_path, **({"rows": head_rows(model="PE-Core-B-16/meta"), "weights": WEIGHTS, "choices": CHOICES} | given))
    JobRecord("done", overrides, "here", 1, 0.0, 0.0, 0.0).write(tmp_path)
    for alone in (True, False):
        output = io.StringIO()
        show_run(tmp_path, Console(file=output, width=80), alone)
        found = [line for line in output.getvalue().splitlines() if line.startswith("Next:")]
        assert len(found) == (alone and expected is not None)
        if found:
            command, _, what = found[0].removeprefix("Next:").partition("   #")
            assert shlex.split(command) == ["ccs-exp", *expected] and what.strip()
            configure(*(part.replace("glob(vit*)", "vitb16_laion") for part in expected if part != "-m"))
