"""What a plan says of its passes: seconds, disk and memory."""

import re

import pytest

from ccs_exp.clip import operations
from ccs_exp.clip.architecture import encoder_shape
from ccs_exp.config.schema import configure
from ccs_exp.heads import Head
from ccs_exp.jobs import plan_passes
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.encode import build_compute, build_model, image_data
from ccs_exp.scoring.decompose import Decomposition, ProbePass

LAYER = 0.01  # seconds that an image takes in a layer


@pytest.fixture
def said(monkeypatch):
    """``{what: seconds}`` and the lines about disk, of a job on the bundled model, whose layers are six."""
    monkeypatch.setattr(plan_passes, "seconds_of_layer", lambda cfg, shape: LAYER)
    monkeypatch.setattr(plan_passes, "_duration", lambda seconds: f"{seconds:.6f} s")
    monkeypatch.setattr(plan_passes, "_size", lambda number: f"{number:.0f} B")

    def lines(*overrides):
        found = plan_passes.pass_lines(configure("tracker=none", *overrides), True)
        times = [re.match(r"(.*): .* passes: about ([\d.]+) s$", line.text) for line in found if line.stage == "time"]
        return {match[1]: float(match[2]) for match in times if match}, [line.text for line in found if line.stage == "disk"]

    return lines


def test_every_pass_of_the_default_job_has_its_seconds(said):
    times, disk = said()
    probe, data = 2000 * 6 * LAYER, 1400 * 6 * LAYER
    assert times["describe"] == pytest.approx(probe) and times["read heads"] == pytest.approx(data)
    (sets,) = (int(name.split()[1]) for name in times if name.startswith("evaluate"))
    evaluated = times[f"evaluate, {sets} sets of heads"]
    assert 80 < sets <= 85 and 4 * data < evaluated < sets * data, "masks part in four of six layers, and share the others"
    assert set(times) == {"describe", f"evaluate, {sets} sets of heads", "read heads"}
    assert len(disk) == 1 and f"at most {85 * 7 * 1400:,} rows" in disk[0]


def test_what_is_asked_more_takes_more(said):
    one = ("dataset=scenes_shape", "prune=each_head")
    plain, _ = said(*one, "engine=plain")
    assert plain["evaluate, 33 sets of heads"] == pytest.approx(33 * 1000 * 6 * LAYER)
    shared, _ = said(*one)
    limited, _ = said(*one, "dataset.limit=100")
    assert limited["evaluate, 33 sets of heads"] == pytest.approx(shared["evaluate, 33 sets of heads"] / 10, abs=1e-5)
    direct, disk = said(*one, "ablation=direct")
    assert direct["evaluate, 33 sets of heads"] == pytest.approx(1000 * 6 * LAYER) and disk[1].startswith("means over the probe")
    seeds, disk = said(*one, "ablation=resample")
    assert 4 < seeds["evaluate, 161 sets of heads"] / shared["evaluate, 33 sets of heads"] < 5, "what lies below is shared by seeds too"
    assert seeds["donors"] == pytest.approx(256 * 6 * LAYER) and f"{1000 * 161:,} rows" in disk[0]
    more, disk = said(*one, "evidence.stability=true", "evidence.other_probe={seed:4}")
    assert more["stability, both halves"] == more["stability, another probe"] == more["describe"]
    assert disk[-1].startswith("stability: 3 times")
    curve, _ = said("dataset=scenes_shape", "prune=curve", "prune.curve.orders=[cost]")
    assert curve["every head alone, for the order by cost"] == pytest.approx(shared["evaluate, 33 sets of heads"])


def test_without_a_number_of_images_a_thousand_are_spoken_of(said, tmp_path):
    (tmp_path / "cat").mkdir()
    times, disk = said("dataset=folder", f"dataset.path={tmp_path}", "prune=each_head")
    assert times["evaluate, 33 sets of heads"] > 1000 * 6 * LAYER and "for every 1,000 images of a task 33,000 rows" in disk[0]


def test_a_layer_is_measured_where_the_job_would_run():
    shape = encoder_shape("ViT-B-32")._replace(width=64, heads_per_layer=4)
    assert all(plan_passes.seconds_of_layer(configure(), shape._replace(tokens=tokens)) > 0 for tokens in (10, 2000))


def test_sets_cost_what_they_do_not_share():
    """By hand, on a model of two layers: each part of a layer once for all sets that are the same so far."""
    shape = encoder_shape("ViT-B-32")._replace(layers=2)
    width, tokens = shape.width, shape.tokens
    first, second = 3 * tokens * width**2 + 2 * tokens**2 * width, 9 * tokens * width**2
    last, end = 3 * width**2 + 2 * shape.heads_per_layer * tokens * width, 9 * width**2
    patches = 49 * 32 * 32 * 3 * width
    masks = [frozenset(), frozenset({Head(0, 1)}), frozenset({Head(1, 3)}), frozenset({Head(0, 1), Head(1, 3)})]
    assert operations.shared(shape, masks) == patches + first + 2 * second + 2 * last + 4 * end
    assert operations.full_pass(shape) == patches + 2 * (first + second)
    everywhere = shape._replace(class_token_alone=False)
    assert operations.shared(everywhere, [frozenset()]) == operations.full_pass(shape)


def test_means_and_moments_are_as_large_as_was_said(said):
    cfg = configure("dataset=scenes_shape", "tracker=none")
    model = build_model(cfg)
    data = image_data(cfg, cfg.probe, build(cfg.probe.source), model, 4)
    sums = ProbePass(model, data, build_compute(cfg, False)).output_sums()
    taken = sum(values.nbytes for of in (sums.outputs, sums.coefficients) for values in of.values())
    _, disk = said("dataset=scenes_shape", "prune=each_head", "ablation=mean", "evidence.stability=true")
    assert disk[1] == f"means over the probe: {taken} B in the store, as much in memory"
    moments = Decomposition(model).moments
    assert f"2 times {moments.first.nbytes + moments.second.nbytes} B" in disk[2]
