"""A job with an atlas, and what `ccs-exp atlas` makes of its folder."""

import json
import shutil
from pathlib import Path

import pytest
from small_jobs import ONE_TASK
from starlette.testclient import TestClient

from ccs_exp.atlas.app import application
from ccs_exp.atlas.facts import read_facts
from ccs_exp.atlas.questions import Questions
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.jobs import atlas_command, resume
from ccs_exp.jobs.atlas_app import classes_of
from ccs_exp.jobs.atlas_stage import check_atlas, shows_images
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.jobs.open_run import open_run
from ccs_exp.run_folder.folder import RunFolder

OVERRIDES = (ONE_TASK, "tracker=none", "atlas=true", "dataset.source.num_images=30", "probe.num_images=120", "prune=each_head")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    cfg = configure(*OVERRIDES)
    run(cfg, Job(str(folder)))
    resume.keep(cfg, str(folder), ())
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """The folder, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def changed(folder, change):
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    change(summary)
    path.write_text(json.dumps(summary))
    return folder


def test_the_default_keeps_an_atlas_of_the_bundled_model_alone(monkeypatch):
    monkeypatch.delenv("CCS_EXP_ATLAS")
    assert configure().atlas and not configure("model=vitb32_openai").atlas and not configure("atlas=false").atlas


def test_the_decompositions_own_pass_keeps_what_pages_need(finished):
    summary = RunFolder(finished).read_summary()
    assert summary["computed"].count("contributions") == 1 and "contributions" not in summary["from_store"]
    assert summary["atlas"]["images"] == 120 and summary["atlas"]["pages"] == 33
    pages = {f"L{layer}.H{index}.html" for layer in range(2, 6) for index in range(8)}
    assert {path.name for path in (finished / "atlas").iterdir()} == {"index.html"} | pages
    assert "Silencing it costs" in (finished / "atlas" / "L5.H4.html").read_text()


def test_a_finished_job_is_answered_with_its_pages(finished, tmp_path):
    assert resume.restore(configure(*OVERRIDES), str(tmp_path / "again"), ())
    for path in (finished / "atlas").iterdir():
        assert (tmp_path / "again" / "atlas" / path.name).read_bytes() == path.read_bytes()
    RunFolder(tmp_path / "again").clear()
    assert not (tmp_path / "again" / "atlas").exists()


def test_the_command_writes_the_same_pages_and_two_runs_side_by_side(finished, tmp_path, capsys):
    atlas_command.main([str(finished), "--output", str(tmp_path)])
    assert "index.html" in capsys.readouterr().out
    for name in ("index.html", "L5.H6.html"):
        assert (tmp_path / name).read_bytes() == (finished / "atlas" / name).read_bytes()
    atlas_command.main([str(finished), str(finished), "--output", str(tmp_path / "two"), "--no-thumbnails"])
    (page,) = (tmp_path / "two").iterdir()
    text = page.read_text()
    assert text.count("L5.H6: backgrounds") == 2 and 'class="crop"' not in text and len(text) < 3e6


def test_the_app_silences_as_the_job_did(finished):
    """The margin that it tells is that of the job's predictions."""
    opened = open_run(finished)
    tasks, lost = classes_of(opened)
    assert list(tasks) == ["scenes_shape"] and not lost
    questions = Questions(opened.model, opened.kept, opened.probe, tasks, SharedPrefixEngine())
    app = application(questions, read_facts(finished), opened.title, "t", ["h"])
    rows = RunFolder(finished).read_predictions().query("sample_id == 'shape-1-00004'").set_index("condition")
    data = configure(*OVERRIDES).dataset
    from hydra.utils import instantiate

    image = instantiate(data.source)[4].image
    found = questions.without(image, [next(head for head in opened.kept.heads if str(head) == "L5.H0")], "scenes_shape")
    names = tasks["scenes_shape"].names
    for name, condition in (("all", "original"), ("silenced", "head/L5.H0")):
        row = rows.loc[condition]
        assert names.index(found[name]["top"][0]["class"]) == row["prediction"]
        if row["correct"]:
            assert found[name]["margin"] == pytest.approx(row["margin"], abs=1e-3)
    assert found["all"] != found["silenced"]
    with TestClient(app, base_url="http://h") as client:
        assert client.get("/t/").status_code == 200


def test_runs_without_what_is_needed_say_how_to_get_it(copy, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="no folder"):
        atlas_command.main([str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit):
        atlas_command.main([str(copy)] * 3)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("CCS_EXP_CACHE", str(tmp_path / "store"))
        with pytest.raises(CcsError, match="CCS_EXP_CACHE"):
            open_run(copy)
    digest = json.loads((copy / "summary.json").read_text())["atlas"]["contributions"]
    for name in ("../moments/" + digest, digest.upper(), "0" * 32):
        with pytest.raises(CcsError, match="not in the store"):
            open_run(changed(copy, lambda summary, name=name: summary["atlas"].update(contributions=name)))
    with pytest.raises(CcsError, match="atlas=true"):
        open_run(changed(copy, lambda summary: summary.update(atlas=None)))


def test_another_model_than_the_runs_is_refused(copy):
    def other(summary):
        summary["asked"]["config"]["model"] |= {"weights": None, "pretrained": None}

    with pytest.raises(CcsError, match="other weights"):
        open_run(changed(copy, other))


@pytest.mark.parametrize(
    "source",
    [
        {"_target_": "os.system", "command": "true"},
        {"_target_": "ccs_exp.data.images.batches.os.system", "command": "true"},
        {"_target_": "ccs_exp.data.bundled.scenes.SceneProbe", "num_images": {"_target_": "os.getpid"}, "seed": 3},
    ],
)
def test_a_run_folder_does_not_decide_what_is_run(copy, source):
    opened = open_run(changed(copy, lambda summary: summary["asked"]["config"]["probe"].update(source=source)))
    assert opened.probe is None and "no part of this package" in opened.notices[0]


def test_a_probe_that_has_moved_leaves_pages_that_say_so(copy):
    source = {"_target_": "ccs_exp.data.images.folder.ImageFolder", "path": "/nowhere", "num_images": None, "decoding": "as_seen"}
    changed(copy, lambda summary: summary["asked"]["config"]["probe"].update(source=source))
    atlas_command.main([str(copy)])
    text = (copy / "atlas" / "L5.H6.html").read_text()
    assert "/nowhere is not a folder" in text and "cannot be seen" in text and 'class="crop"' not in text


def test_damaged_configurations_are_errors(copy):
    with pytest.raises(CcsError, match="no job has"):
        open_run(changed(copy, lambda summary: summary["asked"]["config"].update(model=7)))


def test_images_of_published_sets_are_not_copied_unasked():
    names = ("images.folder.ImageFolder", "published.balanced.balanced_images")
    own, published = ({"_target_": f"ccs_exp.data.{name}"} for name in names)
    assert shows_images(None, own) == (True, []) and shows_images(False, own) == (False, [])
    shown, notices = shows_images(None, published)
    assert not shown and "licence" in notices[0] and shows_images(True, published) == (True, [])


def test_an_atlas_of_given_descriptions_needs_a_model():
    with pytest.raises(CcsError, match="need no model"):
        check_atlas(True, None)
    check_atlas(False, None)
