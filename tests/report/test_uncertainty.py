"""How sure a run's numbers are: the right test for each, an interval for each difference, nothing where there is nothing."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from example_run import head_rows, write_retrieval, write_run, write_tasks
from rich.console import Console

from ccs_exp.report import show_run, write_report
from ccs_exp.report.command import main
from ccs_exp.report.contents import Contents, gather
from ccs_exp.report.intervals import VIDEOS_AND_SEEDS, drawn_medians, of_hits
from ccs_exp.run_folder.folder import RunFolder

TASKS = ("shape", "colour")


def of(contents: Contents, name: str):
    return next(item for item in (*contents.conditions, *contents.means) if item.name == name)


def hits_run(path: Path, right: dict[str, tuple[int, list[bool]]], classes: int = 1) -> RunFolder:
    """A run of one task with exactly these answers."""
    folder = write_run(path, conditions={name: (pruned, 0.5) for name, (pruned, _) in right.items()})
    rows, predictions = [], []
    base = {"model": "tiny", "dataset": "scenes_shape", "task": "scenes_shape"}
    values = {}
    for name, (pruned, hits) in right.items():
        targets = np.arange(len(hits)) % classes
        of_classes = [np.mean([hit for hit, target in zip(hits, targets, strict=True) if target == c]) for c in range(classes)]
        values[name] = {"top1": np.mean(hits), "top5": min(1.0, np.mean(hits) + 0.01), "mean_per_class": np.mean(of_classes)}
        rows += [
            base | {"condition": name, "num_pruned": pruned, "metric": metric, "value": value, "delta": value - values["original"][metric]}
            for metric, value in values[name].items()
        ]
        predictions += [
            {"sample_id": f"{number:04}", "task": "scenes_shape", "condition": name, "target": int(target), "prediction": int(target)}
            | {"correct": bool(hit), "margin": 0.0, "log_probability": -1.0}
            for number, (hit, target) in enumerate(zip(hits, targets, strict=True))
        ]
    folder.write("accuracy.csv", rows)
    folder.write_predictions(pyarrow.Table.from_pylist(predictions))
    return folder


def test_random_controls_are_not_in_holm_s_family(tmp_path):
    few = {"original": (0, 0.9), "high_ccs": (9, 0.85), "low_ccs": (9, 0.89)}
    many = few | {f"random/{seed}": (9, 0.8) for seed in range(25)} | {f"matched/high_ccs/{number}": (9, 0.8) for number in range(25)}
    for name, conditions in (("few", few), ("many", many)):
        write_run(tmp_path / name, conditions=conditions)
    before, after = (of(gather(tmp_path / name), "high_ccs") for name in ("few", "many"))
    assert 0 < before.p_original < before.p_original_holm == after.p_original_holm
    controls = [item for item in gather(tmp_path / "many").conditions if item.strategy == "random"]
    assert len(controls) == 25 and all(item.p_original is item.p_original_holm is item.p_matched is None for item in controls)


def test_an_interval_does_not_contradict_the_test_beside_it(tmp_path):
    """Four lost and none gained of 300: Student's interval excludes 0 where McNemar's p is .125."""
    original = [True] * 200 + [False] * 100
    hits_run(tmp_path, {"original": (0, original), "high_ccs": (4, [False] * 4 + original[4:])})
    high = of(gather(tmp_path), "high_ccs")
    assert high.p_original == pytest.approx(0.125) and (high.lost, high.gained) == (4, 0)
    low, top = high.delta_intervals["top1"]
    assert low < high.deltas["top1"] < 0 < top


def test_where_no_sample_changes_the_interval_has_a_width(tmp_path):
    hits_run(tmp_path, {"original": (0, [True] * 60), "high_ccs": (4, [True] * 60)}, classes=4)
    high = of(gather(tmp_path), "high_ccs")
    for metric in ("top1", "mean_per_class"):
        assert high.deltas[metric] == 0 and high.delta_intervals[metric].low < -0.02 and high.delta_intervals[metric].high > 0.02
        assert high.intervals[metric].low < 0.97 and high.intervals[metric].high == pytest.approx(1)


def test_captions_of_one_video_are_one_observation(tmp_path):
    ranks = {"original": (0, [1] * 6 + [3] * 6), "high_ccs": (4, [2] * 2 + [1] * 4 + [3] * 6)}
    found = []
    for captions in (1, 40):
        folder = write_run(tmp_path / str(captions))
        write_retrieval(folder, ranks, captions)
        found.append(of(gather(folder.path), "high_ccs"))
    once, often = found
    assert once.p_original == often.p_original == pytest.approx(0.5)
    assert once.delta_intervals["t2v_R@1"] == pytest.approx(often.delta_intervals["t2v_R@1"])
    assert once.intervals["t2v_R@1"] == pytest.approx(often.intervals["t2v_R@1"])
    assert often.lost == 80


def test_ranks_under_seeds_of_donors_are_drawn_with_their_videos_and_seeds(tmp_path):
    """As of classification: the spread between seeds enters the interval, and no one seed is the condition's value."""
    generator = np.random.default_rng(0)
    original = generator.integers(1, 9, 60)
    changed = original + generator.integers(0, 5, 60)
    alike, apart = ([np.maximum(changed + spread * (seed - 2), 1) for seed in range(5)] for spread in (0, 3))
    folder = write_run(tmp_path)
    write_retrieval(folder, {"original": (0, original), "high_ccs": (3, np.stack(alike)), "low_ccs": (3, np.stack(apart))}, captions=2)
    found = gather(tmp_path)
    one, other = of(found, "high_ccs"), of(found, "low_ccs")
    for metric in ("t2v_R@5", "v2t_R@1", "t2v_median_rank"):
        for item in (one, other):
            value, delta = item.intervals[metric], item.delta_intervals[metric]
            assert item.how[metric] == VIDEOS_AND_SEEDS and delta.low <= item.deltas[metric] <= delta.high and value.low < value.high
        width = [item.intervals[metric].high - item.intervals[metric].low for item in (one, other)]
        assert width[1] > 1.2 * width[0], metric
    lone = write_run(tmp_path / "one")  # five times the same seed are one
    write_retrieval(lone, {"original": (0, original), "high_ccs": (3, alike[0])}, captions=2)
    plain = of(gather(lone.path), "high_ccs")
    assert plain.delta_intervals["t2v_R@5"] == pytest.approx(one.delta_intervals["t2v_R@5"])


def everything(folder: RunFolder, kind: str) -> None:
    generator = np.random.default_rng(0)
    names = {"original": 0, "high_ccs": 3, "low_ccs": 3} | {f"random/{seed}": 3 for seed in range(4)}
    if kind == "retrieval":
        write_retrieval(folder, {name: (count, list(generator.integers(1, 9, 30))) for name, count in names.items()}, captions=3)
    if kind == "tasks":
        hits = {name: (count, [bool(hit) for hit in generator.random(90) < 0.8]) for name, count in names.items()}
        write_tasks(folder, {task: hits for task in TASKS})


@pytest.mark.parametrize("kind", ["classification", "retrieval", "tasks"])
def test_every_difference_that_is_printed_has_an_interval(tmp_path, kind):
    folder = write_run(tmp_path)
    everything(folder, kind)
    write_report(tmp_path)
    contents = gather(tmp_path)
    for item in (*contents.conditions, *contents.means):
        assert set(item.deltas) == set(contents.metrics)
        for metric, delta in item.deltas.items():
            assert (delta is None) == (item.name == "original")
            if delta is not None:
                low, high = item.delta_intervals[metric]
                assert low < high and low - 1e-6 <= delta <= high + 1e-6
    text = (tmp_path / "report.html").read_text()
    assert "no interval" not in text and contents.random.how[contents.primary] == "Student's over sets"
    assert all(how in text for item in contents.conditions for how in item.how.values())  # which interval each column has
    output = io.StringIO()
    show_run(tmp_path, Console(file=output, width=140))
    assert " to " in next(line for line in output.getvalue().splitlines() if line.startswith("random, mean"))


def test_several_tasks_have_their_mean_first_and_the_page_says_so(tmp_path):
    folder = write_run(tmp_path)
    original, worse = [True] * 80 + [False] * 20, [True] * 60 + [False] * 40
    write_tasks(folder, {"shape": {"original": (0, original), "high_ccs": (2, worse)},
                         "colour": {"original": (0, original), "high_ccs": (2, original)}})  # fmt: skip
    write_report(tmp_path)
    contents = gather(tmp_path)
    high = of(contents, "high_ccs")
    assert contents.metrics == ("top1", "shape top1", "colour top1")
    assert [high.deltas[metric] for metric in contents.metrics] == pytest.approx([-0.1, -0.2, 0])
    assert high.how["top1"] == "bootstrap over images" and high.delta_intervals["top1"].high < 0
    assert high.p_original < 0.001 and (high.lost, high.gained) == (20, 0)
    assert "is the mean over the 2 tasks" in (tmp_path / "report.html").read_text()


def test_the_same_images_under_another_name_of_the_task_are_no_new_ones(tmp_path):
    """Twice the same task is twice the same evidence: interval and p of the mean are those of the one."""
    original, worse = [True] * 70 + [False] * 30, [True] * 62 + [False] * 38
    found = []
    for number in (2, 5):
        folder = write_run(tmp_path / str(number))
        write_tasks(folder, {f"t{n}": {"original": (0, original), "high_ccs": (2, worse)} for n in range(number)})
        found.append(of(gather(folder.path), "high_ccs"))
    assert found[0].delta_intervals["top1"] == pytest.approx(found[1].delta_intervals["top1"])
    assert found[0].p_original == found[1].p_original


def test_a_condition_is_held_against_its_matched_sets(tmp_path):
    conditions = {"original": (0, 0.9), "high_ccs": (9, 0.5), "low_ccs": (9, 0.85)}
    conditions |= {f"matched/high_ccs/{number}": (9, 0.8) for number in range(99)}
    write_run(tmp_path, conditions=conditions)
    write_report(tmp_path)
    contents = gather(tmp_path)
    high = of(contents, "high_ccs")
    assert (high.p_matched, high.matched_sets) == (pytest.approx(0.02), 99) and of(contents, "low_ccs").p_matched is None
    assert not [item for item in contents.conditions if item.name.startswith("matched/")]
    text = (tmp_path / "report.html").read_text()
    assert "p, matched sets" in text and "high_ccs beside 99 random sets" in text and "two-sided p 0.020" in text
    assert "matched/high_ccs/1" not in text and "matched, mean of 99" in text


def test_without_matched_sets_no_p_is_shown(tmp_path):
    write_run(tmp_path)
    write_report(tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "p, matched sets" not in text and "McNemar" not in text and "prune=matched" in text


def test_a_null_of_all_sets_is_known_from_the_heads(tmp_path):
    """One layer of four heads, one of them high: four sets, the tested one among them."""
    rows = head_rows(1, 4)
    for number, row in enumerate(rows):
        row |= {"ccs": 5 if number == 0 else 3, "ccs_class": "high" if number == 0 else "moderate"}
    conditions = {"original": (0, 0.95), "high_ccs": (1, 0.2)}
    for number, (sets, p) in enumerate(((4, 2 / 4), (3, 2 / 4))):
        nulls = {f"matched/high_ccs/{n}": (1, 0.2 if n == 0 and sets == 4 else 0.9) for n in range(sets)}
        folder = hits_run(tmp_path / str(number), {name: (pruned, [True] * int(100 * c) + [False] * round(100 * (1 - c)))
                                                   for name, (pruned, c) in (conditions | nulls).items()})  # fmt: skip
        folder.write("heads.csv", rows)
        assert of(gather(folder.path), "high_ccs").p_matched == pytest.approx(p)


def test_an_empty_set_has_no_value_in_any_format(tmp_path):
    conditions = {"original": (0, 0.9933), "high_ccs": (9, 0.6), "low_ccs": (0, 0.9933)}
    folder = write_run(tmp_path / "run", head_rows(model="vitb16_laion"), conditions, dataset="cifar10")
    accuracy = folder.read_accuracy()
    same = accuracy[accuracy["condition"] == "original"][["metric", "value"]].set_index("metric")["value"]
    for row in (rows := accuracy.to_dict("records")):
        if row["condition"] == "low_ccs":
            row |= {"value": same[row["metric"]], "delta": 0.0}
    folder.write("accuracy.csv", rows)
    write_report(tmp_path / "run")
    low = of(gather(tmp_path / "run"), "low_ccs")
    assert low.empty and not any(value is not None for value in (*low.values.values(), *low.deltas.values()))
    assert not low.intervals and not low.delta_intervals and low.p_original is None
    page = (tmp_path / "run" / "report.html").read_text()
    assert "high_ccs</th>" in page and "low_ccs</th>" not in page  # a notice says it once
    output = io.StringIO()
    show_run(tmp_path / "run", Console(file=output, width=140))
    starts = [line.split()[0] for line in output.getvalue().splitlines() if line]
    assert "high_ccs" in starts and "low_ccs" not in starts
    main([str(tmp_path / "run"), "--output", str(tmp_path / "page")])
    with open(tmp_path / "page" / "cells.csv", newline="") as file:
        found = [row for row in csv.DictReader(file) if row["condition"] == "low_ccs" and row["run"]]
    assert {row["table"] for row in found} == {"table4", "figure2"}
    for row in found:
        assert row["ours"] == row["delta"] == row["interval_low"] == "" and row["num_pruned"] == "0"
    for name in ("tables.md", "tables.tex", "reproduction.html"):
        text = re.sub(r'(?s)<section id="claims">.*?</section>', "", (tmp_path / "page" / name).read_text())  # the paper's own numbers
        assert "no such head" in text and "(0.00)" not in text and "+0.00" not in text


def test_a_report_goes_into_the_sweep_s_own_folder(tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "sweep" / "0")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    main([str(tmp_path / "sweep")])
    assert (tmp_path / "sweep" / "reproduction" / "reproduction.html").is_file()
    assert not list((tmp_path / "elsewhere").iterdir()) and str(tmp_path / "sweep") in capsys.readouterr().out
    main([str(tmp_path / "sweep")])  # and is no run of it
    assert "1 runs, 0 unfinished, 0 damaged" in capsys.readouterr().out


def test_models_that_coincide_are_told(tmp_path):
    for model in ("one", "two"):
        write_run(tmp_path / model, head_rows(model=model), dataset="digits")
    write_run(tmp_path / "three", head_rows(model="three"), {"original": (0, 0.9), "high_ccs": (9, 0.2)}, dataset="digits")
    main([str(tmp_path), "--output", str(tmp_path / "page")])
    text = (tmp_path / "page" / "reproduction.html").read_text()
    assert "one, two have the same high heads and the same numbers" in text


def test_medians_are_resampled_by_group_as_a_plain_loop_does():
    generator = np.random.default_rng(3)
    values, groups = generator.integers(1, 30, (2, 41)).astype(float), generator.integers(0, 12, 41)
    drawn = drawn_medians(values, groups)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    weights = np.random.default_rng([0, len(members)]).multinomial(len(members), np.full(len(members), 1 / len(members)), size=len(drawn))
    for draw in range(0, len(drawn), 97):
        index = np.concatenate([np.repeat(rows, weights[draw, number]) for number, rows in enumerate(members)])
        assert drawn[draw] == pytest.approx(np.median(values[:, index], axis=1))


def test_the_mean_over_classes_is_covered():
    """Classes of 4 to 40 images, right with their own probability: the 95% interval of the difference holds the truth."""
    from ccs_exp.report.answers import Answers

    generator = np.random.default_rng(5)
    sizes = np.array([4, 8, 20, 40, 12])
    targets = np.repeat(np.arange(5), sizes)
    before, after = np.array([0.9, 0.7, 0.8, 0.6, 0.95]), np.array([0.7, 0.7, 0.6, 0.5, 0.9])
    truth, covered = (after - before).mean(), []
    for _ in range(120):
        hits = {name: generator.random(len(targets)) < share[targets] for name, share in (("original", before), ("high_ccs", after))}
        value = {name: np.mean([found[targets == c].mean() for c in range(5)]) for name, found in hits.items()}
        interval = of_hits(Answers(np.arange(len(targets)), targets, hits), "mean_per_class", value)["high_ccs"].delta
        covered.append(interval.low <= truth <= interval.high)
    assert 0.86 <= np.mean(covered) <= 1.0
