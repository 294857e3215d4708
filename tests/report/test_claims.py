"""The paper's claims: what its own numbers say of them, and what runs do."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from example_run import CHOICES, head_rows, write_retrieval, write_run

from ccs_exp.report.command import main
from ccs_exp.report.reproduction.arrange import paper_answer, reproduce
from ccs_exp.report.reproduction.claims.estimates import of_groups, of_normal, of_pairs
from ccs_exp.report.reproduction.claims.models import mean_costs
from ccs_exp.report.reproduction.claims.statements import CLAIMS
from ccs_exp.report.reproduction.claims.verdict import Comparison, Finding, Verdict, finding
from ccs_exp.run_folder.folder import RunFolder

AUTHORS = CHOICES | {"ccs": "published", "protocol": "paper", "random_layers": None}


@pytest.fixture(scope="module")
def of_the_paper() -> dict[str, Finding]:
    return paper_answer()[1]


def against(found: Finding) -> dict[str, float]:
    return {item.name: round(100 * item.estimate.value, 2) for item in found.against}


def test_high_does_not_cost_more_than_low_in_5_of_42_cells(of_the_paper):
    found = of_the_paper["high_more_than_low"]
    assert len(found.comparisons) == 42 and against(found) == {
        "ViT-B-32-datacomp, CIFAR-10": -0.07, "ViT-B-32-datacomp, Country-211": 0, "ViT-B-32-datacomp, Oxford-pets": -0.65,
        "ViT-B-16-LAION, CIFAR-10": -3.53, "ViT-L-14-OpenAI, CIFAR-10": -0.32,
    }  # fmt: skip
    # 3.53 points of 10,000 images are no chance: in every cell the claim does not hold, on average over cells it does
    assert [item.name for item in found.comparisons if item.contradicts] == ["ViT-B-16-LAION, CIFAR-10"]
    assert found.verdict is Verdict.FAILS and found.overall is not None and found.overall.interval.low > 0


def test_accuracy_rises_in_both_pets_cells_of_vit_l_14(of_the_paper):
    found = of_the_paper["costs_everywhere"]
    assert against(found) == {"ViT-L-14-OpenAI, Oxford-pets": -0.25, "ViT-L-14-LAION, Oxford-pets": -2.02}
    assert found.verdict is Verdict.UNKNOWN


def test_head_by_head_low_costs_as_much_or_more_in_10_of_42_cells(of_the_paper):
    found = of_the_paper["more_per_head"]
    assert (len(found.comparisons), len(found.against)) == (42, 10) and found.verdict is Verdict.FAILS
    assert found.overall is not None and found.overall.interval.low < 0 < found.overall.interval.high


def test_b_16_loses_most_and_datacomp_less_than_the_large_models(of_the_paper):
    means = {model: round(100 * value, 2) for model, value in mean_costs(paper_answer()[0]).items()}
    assert (round(means["vitb16_openai"], 1), round(means["vitb16_laion"], 1)) == (15.0, 13.1)
    assert means["vitb32_datacomp"] == 1.47 < means["vitl14_openai"] == 2.51
    assert of_the_paper["b16_most"].verdict is Verdict.HOLDS and len(of_the_paper["b16_most"].comparisons) == 8
    assert set(against(of_the_paper["l14_least"])) == {
        "ViT-B-32-datacomp than ViT-L-14-OpenAI", "ViT-B-32-datacomp than ViT-L-14-LAION",
    }  # fmt: skip
    assert of_the_paper["l14_least"].verdict is Verdict.UNKNOWN


def test_what_the_paper_gives_no_number_of_cannot_be_told(of_the_paper):
    silent = {name for name, found in of_the_paper.items() if not found.comparisons}
    assert silent == {
        "more_at_equal_counts", "more_than_matched", "more_than_random", "video", "larger_less_above_random", "concepts_beside_matched",
    }  # fmt: skip
    assert all(of_the_paper[name].verdict is Verdict.UNKNOWN for name in silent)
    assert set(of_the_paper) == {claim.name for claim in CLAIMS}


def test_shares_of_consistent_heads_are_those_of_table_3(of_the_paper):
    source = paper_answer()[0]
    from ccs_exp.report.reproduction.paper import load_paper

    for model, fractions in load_paper().ccs_at_k.items():
        high, of = source.consistent(model)
        assert high / of == pytest.approx(fractions[5], abs=5e-4)
    assert [item.estimate.value > 0 for item in of_the_paper["consistency_rises"].comparisons] == [True, True]


def test_a_family_is_judged_as_one():
    good, small, bad = of_normal(0.05, 0.005), of_normal(0.01, 0.008), of_normal(-0.05, 0.005)
    assert finding([Comparison("a", good), Comparison("b", good)]).verdict is Verdict.HOLDS
    assert finding([Comparison("a", good), Comparison("b", small)]).verdict is Verdict.UNKNOWN
    assert finding([Comparison("a", good), Comparison("b", bad)]).verdict is Verdict.FAILS
    assert finding([]).verdict is Verdict.UNKNOWN
    alone, among = finding([Comparison("a", of_normal(0.02, 0.01))]), finding([Comparison(str(k), of_normal(0.02, 0.01)) for k in range(9)])
    assert alone.verdict is Verdict.HOLDS and among.verdict is Verdict.UNKNOWN  # Holm over the family


def test_pairs_are_compared_as_pairs():
    less, more = np.ones(1000, dtype=bool), np.ones(1000, dtype=bool)
    more[:12] = False
    found, nothing = of_pairs(less, more), of_pairs(less, less)
    assert found is not None and found.value == pytest.approx(0.012) and found.p_for == pytest.approx(2**-12)
    assert found.interval is not None and found.interval.low > 0
    assert nothing is not None and (nothing.value, nothing.p_for, nothing.p_against) == (0, 1, 1) and nothing.error > 0
    # as captions of one video are not independent, forty of each make nothing surer
    differences, videos = np.repeat([1.0, 0, 0, 1, 0, 0, 1, 0, 0, 0], 40), np.repeat(np.arange(10), 40)
    one = of_groups(differences[::40], videos[::40])
    many = of_groups(differences, videos)
    assert (many.p_for, many.error) == pytest.approx((one.p_for, one.error)) and one.p_for == pytest.approx(1 / 8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two models on two data sets, one of videos, and one of them again with heads in equal number."""
    root = tmp_path_factory.mktemp("runs")
    conditions = {"original": (0, 0.9), "high_ccs": (9, 0.4), "low_ccs": (19, 0.85)}
    conditions |= {f"random/{seed}": (9, 0.8) for seed in range(3)} | {f"matched/high_ccs/{number}": (9, 0.7) for number in range(200)}
    conditions |= {"concept/locations": (2, 0.5), "concept/colors": (2, 0.88)}
    for model in ("vitb32_openai", "vitb16_openai", "vitl14_openai"):
        write_run(root / model, head_rows(model=model), conditions, 200, dataset="country211", choices=AUTHORS)
    equal = {"original": (0, 0.9), "high_ccs/0": (4, 0.6), "high_ccs/1": (4, 0.62), "low_ccs": (4, 0.88)}
    write_run(root / "equal", head_rows(model="vitb32_openai"), equal, 200, dataset="country211", choices=AUTHORS | {"match_count": "min"})
    folder = write_run(root / "video", head_rows(model="vitb32_openai"), conditions, 200, dataset="msrvtt", choices=AUTHORS)
    ranks = {"original": (0, [1.0] * 90 + [4.0] * 10), "high_ccs": (9, [1.0] * 40 + [9.0] * 60), "low_ccs": (19, [1.0] * 85 + [9.0] * 15)}
    ranks |= {f"random/{seed}": (9, [1.0] * 80 + [9.0] * 20) for seed in range(3)}
    write_retrieval(folder, ranks)
    RunFolder(root / "video").write_summary({**folder.read_summary(), "metric": "t2v_R@1"})
    return root


def test_ours_are_asked_the_same(runs, tmp_path, capsys):
    found = reproduce([runs])
    (source, ours), *others = found.answers[1:]
    assert not others and source.datasets == ("country211", "msrvtt") and source.retrieval("msrvtt")
    assert {name: len(item.comparisons) for name, item in ours.items()} == {
        "high_more_than_low": 4, "more_per_head": 4, "more_at_equal_counts": 1, "more_than_matched": 3, "more_than_random": 4,
        "costs_everywhere": 4, "out_of_domain": 0, "video": 3, "larger_lose_less": 1, "larger_less_above_random": 1, "b16_most": 0,
        "l14_least": 0, "openai_above_laion": 0, "consistency_rises": 0, "concepts": 3, "concepts_beside_matched": 0,
    }  # fmt: skip
    for name in ("high_more_than_low", "more_at_equal_counts", "more_than_matched", "more_than_random", "costs_everywhere", "video"):
        assert ours[name].verdict is Verdict.HOLDS, name
    main([str(runs), "--output", str(tmp_path), "--claims"])
    printed = capsys.readouterr().out
    assert "the paper's own numbers" in printed and "37 of 42 for it, 29 of them surely; 5 not, 1 surely against it" in printed
    page = (tmp_path / "reproduction.html").read_text(encoding="utf-8")
    assert "37 of 42 for it" in page and "4 of 4 for it, 4 of them surely" in page and "ViT-B-16-LAION, CIFAR-10 −3.53" in page
    with open(tmp_path / "claims.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["claim"] == "high_more_than_low"]
    assert len(rows) == 42 + 4 and {row["verdict"] for row in rows[:42]} == {"does not hold"}


def test_a_set_without_heads_and_a_run_of_another_protocol_are_no_part_of_it(tmp_path):
    conditions = {"original": (0, 0.9), "high_ccs": (0, 0.9), "low_ccs": (5, 0.8)}
    write_run(tmp_path / "a", head_rows(model="vitb32_openai"), conditions, 100, dataset="food101", choices=AUTHORS)
    write_run(tmp_path / "b", head_rows(model="vitb32_openai"), dataset="food101", choices=AUTHORS | {"protocol": "standard"})
    answers = {source.name: found for source, found in reproduce([tmp_path]).answers}
    paper, standard = (next(found for name, found in answers.items() if f"protocol {one}" in name) for one in ("paper", "standard"))
    assert not paper["high_more_than_low"].comparisons and len(standard["high_more_than_low"].comparisons) == 1


def test_the_paper_s_claims_need_no_run(tmp_path, capsys):
    main(["--claims", "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    assert all(claim.text in printed for claim in CLAIMS) and "15.00" in printed
    assert (tmp_path / "claims.csv").read_text().count("\n") > 100
    page = (tmp_path / "reproduction.html").read_text(encoding="utf-8")
    assert "0 finished runs" in page and "37 of 42 for it, 29 of them surely" in page
    for arguments in ([], ["--verify"]):
        with pytest.raises(SystemExit):
            main(arguments)


def test_an_overall_mean_generalises_over_models():
    sure = of_normal(0.05, 0.001)
    of_one_model = [Comparison(str(number), sure, "one") for number in range(9)]
    assert finding(of_one_model).overall is None
    of_two = finding([*of_one_model, Comparison("x", replace(sure, value=0.01), "two")])
    assert of_two.overall is not None and of_two.overall.count == 2 and of_two.overall.value == pytest.approx(0.03, abs=1e-3)
