"""What many runs' evidence says together."""

import csv

import pytest
from example_run import head_rows, write_run

from ccs_exp.report.command import main
from ccs_exp.report.reproduction.collect import collect
from ccs_exp.report.reproduction.evidence import sweep_evidence
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.statistics.pooling import pooled_rho
from ccs_exp.statistics.rank_correlation import within_strata

HEADS = ("head", "label", "ccs", "represents", "label_most_affected", "label_tasks")


def run_with_map(path, model, dataset, tasks, scale):
    rows = head_rows(model=model)
    write_run(path, rows, samples=20, dataset=dataset)
    costs = {(row["head"], task): scale * ((7 * place + 3 * at) % 11) for place, row in enumerate(rows) for at, task in enumerate(tasks)}
    cells = [{"head": head, "task": f"{dataset}/{task}", "standardised": value} for (head, task), value in costs.items()]
    RunFolder(path).write("causal_map.csv", cells, ("head", "task", "standardised"))
    heads = [{key: row.get(key) for key in HEADS} | {"label_tasks": f"{dataset}/{tasks[0]}"} for row in rows]
    RunFolder(path).write("evidence.csv", heads, HEADS)
    return rows, costs


def test_a_model_has_one_map_and_one_rho_over_its_data_sets_and_models_are_pooled(tmp_path, capsys):
    rows, first = run_with_map(tmp_path / "a", "one", "scenes", ("shape", "colour"), 0.5)
    _, second = run_with_map(tmp_path / "b", "one", "digits", ("number",), 2.0)
    run_with_map(tmp_path / "c", "two", "scenes", ("shape", "colour"), 0.3)
    found = sweep_evidence(collect([tmp_path]).runs)
    one, two = sorted(found.models, key=lambda item: item.model)
    assert one.datasets == ("digits", "scenes") and set(one.view.tasks) == {"scenes/shape", "scenes/colour", "digits/number"}
    known = [row for row in rows if row["ccs"] is not None]
    costs = [(first[row["head"], "shape"] + first[row["head"], "colour"] + second[row["head"], "number"]) / 3 for row in known]
    wanted = within_strata([row["ccs"] for row in known], costs, [row["layer"] for row in known])
    assert one.correlation.rho == pytest.approx(wanted.rho) and one.correlation.p == pytest.approx(wanted.p)
    assert found.pooled == pooled_rho([item.correlation for item in found.models]) and found.pooled.count == 2
    named = {task: [cell[2] for cell in row.cells] for row in one.view.rows[:1] for task in ("",)}
    assert named[""].count(True) == 2  # of each data set the task that its labels name
    main([str(tmp_path), "--output", str(tmp_path / "page")])
    with open(tmp_path / "page" / "evidence.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["model"] for row in table if row["model"] in ("one", "two")] == [item.model for item in found.models]
    assert float(table[-1]["rho"]) == pytest.approx(found.pooled.value, abs=1e-6) and two.datasets == ("scenes",)
    page = (tmp_path / "page" / "reproduction.html").read_text()
    assert "Does the score say what heads do?" in page and "All 2 models, random effects" in page


def test_runs_without_maps_leave_no_section(tmp_path):
    write_run(tmp_path / "a", samples=20)
    main([str(tmp_path), "--output", str(tmp_path / "page")])
    assert not (tmp_path / "page" / "evidence.csv").exists()
    assert 'id="evidence"' not in (tmp_path / "page" / "reproduction.html").read_text()
