"""Jobs under each kind of silencing: what they gather from the probe, keep and write."""

import json

import numpy as np
import pytest
from small_jobs import ONE_TASK

import ccs_exp
from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.jobs import plan
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.encode import build_compute, build_model, image_data
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.report.answers import read_answers
from ccs_exp.report.intervals import SEEDS
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.scoring.decompose import ProbePass
from ccs_exp.scoring.donors import donors, donors_bytes

PROBE = (ONE_TASK, "tracker=none", "probe.num_images=120", "prune=high_ccs")
QUICK = (*PROBE, "dataset.source.num_images=40")
KINDS = ("zero", "mean", "resample", "direct")


def job(folder, *overrides):
    run(configure(*QUICK, *overrides), Job(str(folder)))
    return RunFolder(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CCS_EXP_CACHE", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(scope="module")
def finished(store, tmp_path_factory):
    """In this order, so that what one job gathered is there for the next."""
    return {kind: job(tmp_path_factory.mktemp(kind), f"ablation={kind}") for kind in ("mean", "zero", "resample", "direct")}


def test_what_is_gathered_is_gathered_once_and_kept(finished):
    stages = {kind: finished[kind].read_summary() for kind in KINDS}
    assert stages["mean"]["computed"] == ["output_sums", "moments", "descriptions", "scores", "evaluation"]
    assert stages["zero"]["from_store"] == ["descriptions", "scores"] and stages["zero"]["computed"] == ["evaluation"]
    assert stages["resample"]["computed"] == ["donors", "evaluation"]
    assert stages["direct"]["from_store"] == ["descriptions", "scores", "output_sums"]
    assert [stages[kind]["choices"]["ablation"] for kind in KINDS] == list(KINDS)
    assert len({stages[kind]["config_hash"] for kind in KINDS}) == 4


def test_kinds_agree_on_the_original_and_on_nothing_else(finished):
    rows = {kind: finished[kind].read_predictions().set_index("condition") for kind in KINDS}
    for kind in KINDS[1:]:
        margins, zero = (rows[name].loc["original", "margin"].to_numpy() for name in (kind, "zero"))
        np.testing.assert_allclose(margins, zero, atol=1e-3)
        changed = rows[kind].loc["high_ccs", "margin"].to_numpy()[:40] - rows["zero"].loc["high_ccs", "margin"].to_numpy()
        assert np.abs(changed).max() > 0.05


def test_resampled_conditions_have_a_row_for_each_seed_and_their_mean(finished):
    rows = finished["resample"].read_predictions()
    assert "seed" not in finished["mean"].read_predictions().columns
    silenced = rows[rows["condition"] == "high_ccs"]
    assert silenced.groupby("seed").size().to_dict() == dict.fromkeys(range(5), 40)
    assert (rows["condition"] == "original").sum() == 40
    per_seed = silenced.groupby("seed")["margin"].mean()
    assert per_seed.nunique() == 5
    accuracy = finished["resample"].read_accuracy().query("metric == 'top1'").set_index("condition")["value"]
    assert list(accuracy.index) == ["original", "high_ccs"]
    assert accuracy["high_ccs"] == pytest.approx(silenced["correct"].mean(), abs=1e-6)
    (answers,) = read_answers(finished["resample"].path).values()
    assert len(answers.samples) == 40 and not answers.hits, "200 answers of 40 samples are not 200 samples"
    assert {name: len(seeds) for name, seeds in answers.of_seeds.items()} == {"original": 1, "high_ccs": 5}
    sure = finished["resample"].read_uncertainty().query("condition == 'high_ccs'").set_index("metric")
    for metric in ("top1", "mean_per_class"):
        row = sure.loc[metric]
        assert row["value_low"] <= row["value"] <= row["value_high"] and row["interval"] == SEEDS
        assert row["delta_low"] <= row["delta"] <= row["delta_high"] or row["delta"] == 0


def test_seeds_are_evaluated_whatever_else_a_job_evaluates(finished, tmp_path):
    """A job with more heads takes what is kept, and gives the same rows."""
    more = job(tmp_path, "ablation=resample", "prune=[high_ccs,heads]", "prune.heads.list=[L4.H0]")
    assert more.read_summary()["from_store"] == ["descriptions", "scores", "donors"]
    columns = ["seed", "sample_id", "prediction", "margin"]
    one, two = (
        folder.read_predictions().query("condition == 'high_ccs'")[columns].reset_index(drop=True)
        for folder in (finished["resample"], more)
    )
    assert one.equals(two)
    others = job(tmp_path / "others", "ablation=resample", "resample.seeds=[5,6,7,8,9]").read_predictions()
    assert sorted(others.query("condition == 'high_ccs'")["seed"].unique()) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("engine", [pytest.param("plain", marks=pytest.mark.full), "shared"])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_given_scores_take_a_pass_over_the_probe_of_their_own(finished, kind, engine, tmp_path, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "another store"))
    scores = f"ccs.path={finished['zero'].path}/heads.csv"
    again = job(tmp_path / "run", "ccs=file", scores, f"ablation={kind}", f"engine={engine}")
    summary = again.read_summary()
    assert summary["computed"] == ["donors" if kind == "resample" else "output_sums", "evaluation"]
    assert (summary["probe"]["name"], summary["probe"]["images"]) == ("scenes", 120)
    one, two = (folder.read_predictions() for folder in (finished[kind], again))
    assert one["sample_id"].equals(two["sample_id"])
    np.testing.assert_allclose(one["margin"], two["margin"], atol=1e-3)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_videos_are_evaluated_under_every_kind(finished, kind, tmp_path):
    run(configure(*PROBE, f"ablation={kind}", "dataset=scenes_video", "dataset.limit=8", "dataset.frames=3"), Job(str(tmp_path)))
    rows = RunFolder(tmp_path).read_predictions()
    assert set(rows["condition"]) == {"original", "high_ccs"}
    count = len(rows[rows["condition"] == "high_ccs"])
    assert count == 16 * (5 if kind == "resample" else 1)


@pytest.mark.parametrize("kind", ["mean", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("resample", "direct"))])
def test_heads_of_any_layer_can_be_silenced(finished, kind, tmp_path):
    folder = job(tmp_path, f"ablation={kind}", "prune=heads", "prune.heads.list=[L0.H1,L5.H0]")
    rows = folder.read_predictions().set_index("condition")
    change = rows.loc["heads/list", "margin"].to_numpy()[:40] - rows.loc["original", "margin"].to_numpy()
    assert np.abs(change).max() > 0.01


BAD = {
    "an unknown kind": (["ablation=median"], "ablation=median is not known. Choose one of: zero, mean, resample, direct"),
    "few seeds": (["resample.seeds=[0,1]"], "give at least 5 seeds"),
    "seeds twice": (["resample.seeds=[0,1,2,3,4,4]"], "each once"),
    "one donor": (["resample.donors=1"], "from 2 to 256"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_settings_fail_before_anything_is_loaded(name):
    overrides, message = BAD[name]
    with pytest.raises(CcsError, match=message.replace("[", r"\[")):
        configure(*QUICK, *overrides)


@pytest.mark.parametrize(("kind", "message"), [("mean", "needs at least two"), ("resample", "two different"), ("direct", "at least two")])
def test_a_probe_of_one_image_is_an_error(finished, kind, message, tmp_path):
    scores = f"ccs.path={finished['zero'].path}/heads.csv"
    with pytest.raises(CcsError, match=message):
        job(tmp_path, "ccs=file", scores, f"ablation={kind}", "probe.num_images=1")


def test_a_plan_says_how_large_donors_are(capsys):
    cfg = configure(*PROBE, "ablation=resample", "model=vitb32_openai", "model.pretrained=null", "ccs=published", "dataset=digits")
    lines = [line.text for line in plan.encoding_lines(cfg, evaluates=True)]
    assert any("at most 256 images of mini_imagenet" in line for line in lines)
    assert "outputs of those images: at most 0.12 GB, in memory and in the store" in lines


def test_a_plan_says_what_evidence_takes():
    cfg = configure(*PROBE, "prune=evidence", "evidence.stability=true", "evidence.other_probe={seed:4}")
    lines = [f"{line.stage} {line.text}" for line in plan.evidence_lines(cfg, evaluates=True)]
    assert lines[0].startswith("read every scored head once more over scenes_shape") and "0.8 kB of memory an image" in lines[0]
    assert "3 times more, over the halves of scenes and another probe" in lines[1] and "at most 96 more labels and 480" in lines[2]
    assert plan.evidence_lines(configure("prune=high_ccs"), evaluates=True) == []


def test_donors_are_as_large_as_was_said():
    cfg = configure(*PROBE)
    model = build_model(cfg)
    probe = image_data(cfg, cfg.probe, build(cfg.probe.source), model, 9)
    found = donors(ProbePass(model, probe, build_compute(cfg, False)), range(2, 6))
    tokens, width = model.clip.visual.positional_embedding.shape
    assert donors_bytes(9, range(2, 6), 5, tokens, width, "32") == sum(outputs.nbytes for outputs in found.outputs.values())


def test_a_notebook_can_choose_the_kind():
    model = ccs_exp.load_model("tiny")
    heads = {"one": [Head(5, 0)]}
    options = ("dataset.source.num_images=40", "probe.num_images=60")
    found = {kind: ccs_exp.evaluate(model, "scenes_shape", heads, *options, f"ablation={kind}") for kind in KINDS}
    assert all(values["original"] == found["zero"]["original"] for values in found.values())
    assert json.dumps(found["resample"]["one"])
