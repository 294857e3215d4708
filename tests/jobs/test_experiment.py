"""Whole jobs, from configuration to run folder."""

import json

import numpy as np
import pandas
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from small_jobs import SMALL_JOB

from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.jobs import experiment, load_stage
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.report.beside import Beside
from ccs_exp.report.contents import gather
from ccs_exp.run_folder.columns import PREDICTION_COLUMNS
from ccs_exp.run_folder.folder import RunFolder

QUICK = (*SMALL_JOB, "tracker=none", "dataset.source.num_images=60", "probe.num_images=200")
PLAIN = (*SMALL_JOB, "tracker=none")


def job(folder, *overrides, asked=()):
    cfg = configure(*overrides)
    run(cfg, Job(str(folder), frozenset(asked)))
    return RunFolder(folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return job(tmp_path_factory.mktemp("run"), *QUICK, "prune=[paper,concept]", "prune.concept.names=[colors,cats]")


def test_the_run_folder_is_complete_and_agrees_with_itself(finished):
    heads, accuracy, predictions = finished.read_heads(), finished.read_accuracy(), finished.read_predictions()
    summary = finished.read_summary()
    assert len(heads) == 32 and set(heads["model"]) == {"tiny"}
    for row in heads.to_dict("records"):
        assert [row[f"verdict_{n}"] for n in range(1, 6)].count("aligned") == row["ccs"]
        assert 0 < row["explained_variance"] <= 1
    fractions = finished.read_ccs_at_k().set_index("k")["fraction"].astype(float)
    assert fractions.sum() == pytest.approx(1, abs=1e-5)
    assert fractions[3] == pytest.approx((heads["ccs"] == 3).mean(), abs=1e-6)
    top1 = accuracy[accuracy["metric"] == "top1"].set_index("condition")
    assert list(top1.index) == [
        "original",
        "high_ccs",
        "low_ccs",
        "random/0",
        "random/1",
        "random/2",
        "concept/colors",
        "concept/cats",
    ]
    for condition, rows in predictions.groupby("condition"):
        assert len(rows) == 60
        assert top1.loc[condition, "value"] == pytest.approx((rows["prediction"] == rows["target"]).mean(), abs=1e-6)
        assert top1.loc[condition, "delta"] == pytest.approx(
            top1.loc[condition, "value"] - top1.loc["original", "value"], abs=2e-6
        )
    high = (heads["ccs_class"] == "high").sum()
    assert (top1.loc[["high_ccs", "random/0", "random/1", "random/2"], "num_pruned"] == high).all()
    assert summary["accuracy"] == pytest.approx(top1["value"].astype(float).to_dict(), abs=1e-6)
    assert summary["random"]["mean"] == pytest.approx(
        np.mean([top1.loc[f"random/{seed}", "value"] for seed in range(3)]), abs=1e-6
    )
    assert any(warning.startswith("concept/cats silences no head") for warning in summary["warnings"])
    assert top1.loc["concept/cats", "num_pruned"] == 0 and top1.loc["concept/cats", "delta"] == 0
    for name in ("report.html", "figures/ccs_at_k.png", "figures/accuracy.png"):
        assert (finished.path / name).stat().st_size > 0
    assert not list(finished.path.rglob("*.part"))


@pytest.mark.parametrize("stored", [True, False])
def test_the_same_job_gives_the_same_bytes(finished, stored, tmp_path, monkeypatch):
    if not stored:
        monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "another store"))
    again = job(tmp_path, *QUICK, "prune=[paper,concept]", "prune.concept.names=[colors,cats]")
    for name in ("heads.csv", "ccs_at_k.csv", "accuracy.csv", "predictions.parquet"):
        assert (again.path / name).read_bytes() == (finished.path / name).read_bytes(), name
    now, then = again.read_summary(), finished.read_summary()
    assert now.pop("computed") == ([] if stored else ["moments", "descriptions", "scores", "evaluation"])
    assert now.pop("from_store") == (["descriptions", "scores", "evaluation"] if stored else [])
    assert now.pop("ran").keys() == then["ran"].keys()  # times and memory
    assert now == {name: value for name, value in then.items() if name not in ("computed", "from_store", "ran")}


def test_only_heads_not_evaluated_before_are_evaluated(tmp_path, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "store"))
    seen, evaluate = [], experiment.evaluate
    monkeypatch.setattr(experiment, "evaluate", lambda *parts: seen.append([len(c.heads) for c in parts[3]]) or evaluate(*parts))
    monkeypatch.setattr(experiment, "write_report", lambda path, _beside: gather(path))  # without the files
    smaller = (*QUICK, "dataset.limit=20", "probe.num_images=100")
    first = job(tmp_path / "1", *smaller, "prune=high_ccs")
    high = len(first.read_heads().query("ccs_class == 'high'"))
    second = job(tmp_path / "2", *smaller, "prune=[high_ccs,heads]", "prune.heads.list=[L2.H0]")
    job(tmp_path / "3", *smaller, "prune=heads", "prune.heads.sets={again: [L2.H0], none: []}")
    assert seen == [[0, high], [1]]
    assert second.read_summary()["computed"] == ["evaluation"]
    rows = [folder.read_accuracy().query("condition == 'high_ccs'").to_dict("records") for folder in (first, second)]
    assert rows[0] == rows[1]
    predictions = RunFolder(tmp_path / "3").read_predictions()
    assert set(predictions["condition"]) == {"original", "heads/again", "heads/none"} and len(predictions) == 60
    job(tmp_path / "4", *smaller, "prune=high_ccs", "batch_size=10")
    job(tmp_path / "5", *smaller, "prune=high_ccs", "dataset.limit=15")
    assert len(seen) == 4


def test_scores_of_an_earlier_run_are_not_computed_again(finished, tmp_path, monkeypatch):
    monkeypatch.setattr("ccs_exp.jobs.score_stage.describe_heads", None)
    again = job(tmp_path / "new", *QUICK, "ccs=file", f"ccs.path={finished.path}/heads.csv", "prune=high_ccs")
    assert (again.path / "heads.csv").read_bytes() == (finished.path / "heads.csv").read_bytes()
    wanted = finished.read_summary()["accuracy"]
    assert again.read_summary()["accuracy"] == {name: wanted[name] for name in ("original", "high_ccs")}


def test_given_descriptions_need_no_model_and_no_data(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(load_stage, "build_model", None)
    again = job(tmp_path, *PLAIN, "spans=file", f"spans.path={finished.path}/heads.csv")
    columns = ["head", "label", "ccs", "verdict_1", "description_5"]
    assert again.read_heads()[columns].equals(finished.read_heads()[columns])
    assert again.read_accuracy() is None and again.read_summary()["dataset"] is None


def test_given_descriptions_with_a_data_set_asked_for_are_pruned(finished, tmp_path):
    options = (*QUICK, "spans=file", f"spans.path={finished.path}/heads.csv", "prune=high_ccs", "dataset=scenes_shape")
    again = job(tmp_path, *options, asked=["dataset"])
    assert again.read_summary()["accuracy"]["high_ccs"] == finished.read_summary()["accuracy"]["high_ccs"]


def test_the_reference_shares_are_another_decomposition(finished, tmp_path):
    other = job(tmp_path, *PLAIN, "probe.num_images=200", "textspan=reference", "dataset=none")
    assert len(other.read_heads()) == 32 and not other.read_heads().equals(finished.read_heads())


@pytest.mark.parametrize(("variant", "high", "low"), [("vitb32_openai", 8, 4), ("vitl14_laion", 21, 3)])
def test_published_heads_need_no_model_to_be_listed(variant, high, low, tmp_path):
    folder = job(tmp_path, *PLAIN, "ccs=published", f"model={variant}", "dataset=none")
    classes = folder.read_heads()["ccs_class"].value_counts()
    assert (classes["high"], classes["low"]) == (high, low)
    assert not (folder.path / "ccs_at_k.csv").exists()
    assert (folder.path / "report.html").exists()


def test_the_real_descriptions_of_vit_b_16_laion(shared, tmp_path):
    path = shared / "data" / "textspan" / "vitb16_laion.json"
    folder = job(tmp_path, *PLAIN, "spans=file", f"spans.path={path}")
    heads, summary = folder.read_heads(), folder.read_summary()
    assert len(heads) == 48 and summary["model"] == "vitb16_laion" and summary["unjudged"] == 0
    assert summary["tagged_share"] > 0.95
    published = {entry["head"]: entry["ccs_class"] for entry in json.loads(path.read_text())}
    told = heads[heads["head"].map(published).isin(["high(5)", "low(<=1)"])]
    assert len(told) == 19
    assert roc_auc_score(told["head"].map(published) == "high(5)", told["ccs"].astype(int)) > 0.6


@pytest.fixture
def pictures(tmp_path):
    for name in ("red", "blue"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (40, 30), name).save(tmp_path / "pictures" / name / f"{index}.png")
    return tmp_path / "pictures"


def test_a_folder_of_pictures_and_skipped_ones_are_counted(pictures, tmp_path):
    (pictures / "red" / "broken.jpg").write_bytes(b"not a picture")
    options = (*PLAIN, "probe.num_images=200", "dataset=folder", f"dataset.path={pictures}", "dataset.templates=['something {}']")
    with pytest.raises(CcsError, match=r"red/broken\.jpg cannot be decoded"):
        job(tmp_path / "a", *options)
    assert not (tmp_path / "a" / "accuracy.csv").exists() and not (tmp_path / "a" / "summary.json").exists()
    folder = job(tmp_path / "b", *options, "on_error=skip")
    summary = folder.read_summary()
    assert len(summary["skipped"]) == 1 and "broken.jpg" in summary["skipped"][0] and summary["num_samples"] == 6
    assert any("1 images could not be decoded" in warning for warning in summary["warnings"])


def test_scores_know_their_model(tmp_path):
    listed = job(tmp_path / "b16", *PLAIN, "ccs=published", "model=vitb16_laion", "dataset=none")
    same = job(tmp_path / "same", *PLAIN, "ccs=file", f"ccs.path={listed.path}/heads.csv", "dataset=none")
    assert set(same.read_heads()["model"]) == {"vitb16_laion"} and len(same.read_heads()) == 48
    with pytest.raises(CcsError, match=r"L8\.H0, .* and 42 more: tiny has layers 0-5 of 8 heads each"):
        job(tmp_path / "other", *QUICK, "ccs=file", f"ccs.path={listed.path}/heads.csv")


def test_a_renamed_model_is_told_apart(finished, tmp_path):
    options = ("model.variant=twin", "ccs=file", f"ccs.path={finished.path}/heads.csv", "prune=none")
    warnings = job(tmp_path, *QUICK, *options).read_summary()["warnings"]
    assert "The scores are of tiny, the model evaluated is twin." in warnings


def test_classes_of_an_earlier_run_follow_the_thresholds(finished, tmp_path):
    options = ("ccs=file", f"ccs.path={finished.path}/heads.csv", "ccs.high=4", "ccs.low=2", "dataset=none")
    heads = job(tmp_path, *PLAIN, *options).read_heads()
    assert ((heads["ccs"] >= 4) == (heads["ccs_class"] == "high")).all() and (
        (heads["ccs"] <= 2) == (heads["ccs_class"] == "low")
    ).all()


def test_a_failing_rerun_leaves_the_earlier_results(finished, tmp_path):
    import shutil

    shutil.copytree(finished.path, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    with pytest.raises(CcsError):
        job(tmp_path / "run", *QUICK, "model.weights=/nowhere.pt")
    with pytest.raises(CcsError):
        job(tmp_path / "run", *QUICK, "probe.num_images=4")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()} == before


def test_files_of_others_are_not_touched(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "thesis.pdf").write_text("mine")
    job(tmp_path, *PLAIN, "ccs=published", "model=vitb32_openai", "dataset=none")
    assert (tmp_path / "figures" / "thesis.pdf").read_text() == "mine"
    other = tmp_path / "other"
    other.mkdir()
    (other / "summary.json").write_text("{}")
    with pytest.raises(CcsError, match=r"holds summary\.json, which no run of ccs_exp wrote"):
        job(other, *PLAIN, "ccs=published", "model=vitb32_openai", "dataset=none")
    assert (other / "summary.json").read_text() == "{}"


@pytest.mark.parametrize(("threads", "reading", "wanted"), [(2, True, True), (1, True, False), (2, False, False)])
def test_intervals_and_figures_are_made_beside_what_is_still_computed(threads, reading, wanted, tmp_path, monkeypatch):
    """Where there is a core for them, and something left to compute."""
    done, there = [], {}

    class Watched(Beside):
        def conditions(self):
            there["conditions"] = {path.name for path in self._run_dir.iterdir()}
            super().conditions()

        def heads(self):
            there["heads"] = {path.name for path in self._run_dir.iterdir()}
            super().heads()

        def done(self):
            done.append(super().done())
            return done[-1]

    monkeypatch.setattr(experiment, "Beside", Watched)
    monkeypatch.setattr(experiment.torch, "get_num_threads", lambda: threads)
    folder = job(tmp_path, *QUICK, "prune=high_ccs", f"evidence.reading={reading}")
    assert done == [wanted]
    assert there["conditions"] >= {"heads.csv", "ccs_at_k.csv", "accuracy.csv", "predictions.parquet"}  # what each part reads
    assert there["heads"] >= {path.name for path in folder.path.glob("*.csv")} - {"uncertainty.csv"}
    assert {row["condition"] for row in folder.read_uncertainty().to_dict("records")} == {"original", "high_ccs"}
    assert {path.stem for path in folder.figures.iterdir()} >= {"accuracy", "delta", "ccs_at_k", "heads_map"}


def test_a_report_that_fails_leaves_no_summary(tmp_path, monkeypatch):
    monkeypatch.setattr("ccs_exp.jobs.experiment.write_report", lambda _path, _beside: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        job(tmp_path, *PLAIN, "ccs=published", "model=vitb32_openai", "dataset=none")
    assert not (tmp_path / "summary.json").exists() and (tmp_path / "heads.csv").exists()


def test_random_weights_say_so(tmp_path, pictures):
    options = (*PLAIN, "model.weights=null", "dataset=folder", f"dataset.path={pictures}", "probe.num_images=200", "prune=none")
    summary = job(tmp_path / "out", *options).read_summary()
    assert summary["weights"] == {"origin": "random weights (seed 0)", "sha256": None}
    assert "random weights" in summary["warnings"][0]
    assert "random weights" in (tmp_path / "out" / "report.html").read_text()


BAD = {
    "missing folder": (["dataset=folder", "dataset.path={tmp}/none"], "is not a folder"),
    "empty class folder": (["dataset=folder", "dataset.path={tmp}/empty"], "no image in the class folder cats"),
    "small pool": (["pool=file", "pool.path={tmp}/pool.txt"], "has 2 distinct descriptions"),
    "short spans": (["spans=file", "spans.path={tmp}/spans.json"], r"L0\.H0 has 4"),
    "head outside the model": ([*QUICK, "prune=heads", "prune.heads.list=[L6.H0]"], r"L6\.H0: tiny has layers 0-5 of 8 heads each"),
    "weights of another model": (["model.weights={tmp}/pool.txt"], "does not load as weights of tiny_clip"),
    "no attention heads": (["model=open_clip", "model.name=RN50", "model.pretrained=null", "ccs=file", "ccs.path={run}/heads.csv",
                            "dataset=digits"], "heads of RN50 cannot be read: its image encoder is a ModifiedResNet"),
    "too few for random": ([*QUICK, "ccs.high=3", "ccs.low=0"], "prune=random needs .* heads, .*but only"),
    "unwritable folder": (["hydra=default"], "cannot be used"),
    "its own input": (["ccs=file", "ccs.path={out}/heads.csv"], "lies in the run folder"),
    "one class": (["dataset=folder", "dataset.path={tmp}/one"], "only the class folder dogs"),
    "descriptions that do not differ": ([*QUICK, "pool=file", "pool.path={tmp}/alike.txt"], "has 2 distinct descriptions"),
    "text as weights": (["model.weights={tmp}/spans.json"], "does not load as weights of tiny_clip"),
    "thresholds": (["ccs.high=1", "ccs.low=1", *QUICK], "do not separate"),
    "too few probe images": ([*QUICK, "probe.num_images=4"], "4 probe images"),
    "templates without a place": ([*QUICK, "dataset.templates=[photo]"], "has no {}"),
}  # fmt: skip


LONG = ("no attention heads",)  # which a whole ResNet is built for


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.full] if name in LONG else []) for name in BAD])
def test_bad_input_is_a_paragraph_and_leaves_no_half(name, finished, tmp_path):
    (tmp_path / "empty" / "cats").mkdir(parents=True)
    (tmp_path / "empty" / "dogs").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "empty" / "dogs" / "1.png")
    (tmp_path / "one" / "dogs").mkdir(parents=True)
    (tmp_path / "alike.txt").write_text("red star\nRed star\nred  star\nRED STAR\nred STAR\nblue star\n")
    (tmp_path / "pool.txt").write_text("one\ntwo\n\n one\n")
    (tmp_path / "spans.json").write_text(json.dumps([{"head": "L0.H0", "top5": list("abcd")}]))
    out = tmp_path / "out"
    overrides, message = BAD[name]
    if name == "unwritable folder":
        overrides, out = [], tmp_path / "pool.txt" / "out"  # below a file, where not even root can make a folder
    with pytest.raises(CcsError, match=message) as caught:
        job(out, *PLAIN, *(o.format(tmp=tmp_path, run=finished.path, out=out) for o in overrides))
    assert "\n" not in str(caught.value)
    left = {path.name for path in out.rglob("*")} if out.is_dir() else set()
    late = name in ("too few for random", "templates without a place")  # known only after scoring
    assert left <= ({"heads.csv", "ccs_at_k.csv", "robustness.csv"} if late else set()) and not any(name.endswith(".part") for name in left)


def test_predictions_are_typed(finished):
    table = pandas.read_parquet(finished.path / "predictions.parquet")
    assert tuple(table.columns) == PREDICTION_COLUMNS
    assert table["correct"].dtype == bool and table["target"].dtype == np.int32 and table["margin"].dtype == np.float32


@pytest.mark.full
def test_vit_b_32_with_random_weights_goes_through_the_whole_pipeline(tmp_path):
    """The shapes, tokenizer, preprocessing and pool of a real variant; the numbers mean nothing and say so."""
    for name in ("cats", "dogs"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(40):
            pixels = np.random.default_rng([len(name), index]).integers(0, 255, (60, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{index}.png")
    folder = job(
        tmp_path / "run", *PLAIN, "model=vitb32_openai", "model.pretrained=null", "probe=folder", f"probe.path={tmp_path}/pictures",
        "dataset=folder", f"dataset.path={tmp_path}/pictures", "dataset.limit=16", "prune.random.layers=all",
    )  # fmt: skip
    summary = folder.read_summary()
    assert len(folder.read_heads()) == 48 and summary["pool"]["descriptions"] > 3000
    assert "random weights" in summary["warnings"][0] and summary["num_samples"] == 16
    assert len(summary["accuracy"]) == 6
