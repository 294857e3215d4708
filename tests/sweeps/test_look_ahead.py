"""What is said of a sweep before its first cell: settings that a cell lacks, and cells that find the same."""

import pytest
from command import ccs_exp
from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from ccs_exp.config.place import config_dir
from ccs_exp.config.plain import plain
from ccs_exp.config.schema import configure, register
from ccs_exp.errors import CcsError
from ccs_exp.jobs.decisive import decisive_settings, without_effect
from ccs_exp.sweeps.look_ahead import check_cells, for_cells, same_jobs


@pytest.fixture(autouse=True)
def hydra():
    register()
    with initialize_config_dir(config_dir(), version_base="1.3"):
        yield


def test_a_setting_that_a_cell_lacks_ends_the_sweep_before_it_starts(tmp_path):
    command = ["-m", "prune=matched,high_ccs", "prune.matched.draws=20", "tracker=none", "hydra.sweep.dir=sweep"]
    done = ccs_exp(*command, cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "Cell 1 of the sweep" in done.stderr and "'prune=[high_ccs,matched]' prune.matched.draws=..." in done.stderr
    assert not list(tmp_path.rglob("heads.csv"))


def test_cells_that_have_their_settings_are_left_alone():
    check_cells([["prune=[random,high_ccs]", "prune.random.seeds=[0]"], ["prune=random", "prune.random.seeds=[0]"]])
    check_cells([["judge=embedding", "judge.threshold=0.1"], ["judge=embedding", "judge.threshold=0.2"]])
    with pytest.raises(CcsError, match=r"judge\.threshold is a setting of judge=embedding, which is not chosen here"):
        check_cells([["judge=embedding", "judge.threshold=0.1"], ["judge=taxonomy", "judge.threshold=0.1"]])


@pytest.mark.parametrize(
    ("given", "cells_alone"),
    [
        ("prune.random.seeds=[0,1]", "prune.random.seeds=choice([0,1])"),
        ("+prune.heads.sets={a: [L2.H0]}", "+prune.heads.sets=choice({a: [L2.H0]})"),
        *((text, text) for text in ("judge.threshold=0.1,0.2", "dataset.limit=5", "prune=a,b", "hydra.sweep.dir=x", "~prune.random.seeds")),
        *((text, text) for text in ("prune.random.layers=${oc.env:HOME}", "judge.model=a=b", "judge.model=")),
    ],
)
def test_settings_of_choices_are_given_to_the_cells_alone(given, cells_alone):
    assert for_cells(["--multirun", given]) == ["--multirun", cells_alone] and for_cells([given]) == [given]


def test_a_setting_of_strategies_that_are_swept_reaches_their_cells():
    """Although the bundled model's own strategies, which Hydra composes first, have no such setting."""
    for strategies in ("random,paper", "random,high_ccs"):
        asked = for_cells(["-m", f"prune={strategies}", "prune.random.seeds=[0,1]"])[1:]
        (cells,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(asked), None)
        assert [cell[1] for cell in cells] == ["prune.random.seeds=[0,1]"] * 2
        if strategies == "random,paper":
            check_cells(cells)
        else:
            with pytest.raises(CcsError, match=r"Cell 1 .*prune\.random\.seeds is a setting of prune=random, which is not chosen here"):
                check_cells(cells)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([["resample.donors=9"], ["resample.donors=8"]], "resample.donors cannot change the result: ablation=zero resamples nothing"),
        ([["ablation=resample", "resample.donors=9"], ["ablation=resample", "resample.donors=8"]], None),
        ([["seed=0"], ["seed=1"]], "Cells 0, 1 of the sweep are the same job, computed once: seed cannot change the result: it draws"),
        ([["model.weights=null", "seed=0"], ["model.weights=null", "seed=1"]], None),
        ([["engine=plain", "stack_size=1"], ["engine=plain", "stack_size=2"]], "stack_size cannot change the result: engine=plain"),
        ([["stack_size=1"], ["stack_size=2"]], None),
        ([["num_workers=1"], ["num_workers=2"]], "num_workers cannot change the result."),
        ([["tracker.project=a"], ["tracker.project=b"]], "tracker.project cannot change the result."),
        ([["dataset=digits"], ["dataset=scenes_shape"]], None),
        ([["seed=0", "dataset=digits"], ["seed=1", "dataset=scenes_shape"]], None),
    ],
)
def test_cells_that_find_the_same_are_named(cells, said):
    lines = list(same_jobs(cells))
    assert (not lines) if said is None else (len(lines) == 1 and said in lines[0])


def test_what_cannot_change_a_result_is_no_part_of_what_decides_it():
    one, other = (plain(configure(f"seed={seed}", f"num_workers={seed}")) for seed in (0, 1))
    assert decisive_settings(one) == decisive_settings(other) and "seed" in without_effect(one)
    drawn, again = (plain(configure("model.weights=null", f"seed={seed}")) for seed in (0, 1))
    assert decisive_settings(drawn) != decisive_settings(again)
