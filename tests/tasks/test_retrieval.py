"""Video retrieval under several conditions at once, and the flat stream of frames that it reads."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from scipy.stats import rankdata
from torch.nn import functional as F

from ccs_exp.clip.engine import PlainEngine
from ccs_exp.clip.hooks import masked
from ccs_exp.clip.preprocessing import with_openai_statistics
from ccs_exp.compute.trainer import Compute
from ccs_exp.config.schema import configure
from ccs_exp.data.images.source import UnreadableImage
from ccs_exp.data.videos.captioned import CaptionedVideos
from ccs_exp.data.videos.frame_batches import FrameData
from ccs_exp.errors import CcsError
from ccs_exp.heads import Condition, Head
from ccs_exp.jobs import evaluate_stage
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.encode import build_compute, build_model
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.tasks.retrieval import retrieve

FRAMES = 3
CONDITIONS = [
    Condition("original", frozenset()),
    Condition("high_ccs", frozenset({Head(5, 0), Head(4, 2)})),
    Condition("low_ccs", frozenset({Head(3, 1)})),
    Condition("empty", frozenset()),
]


class Noise:
    """Random frames, or none that can be decoded."""

    def __init__(self, seed, broken=False):
        self.video_id, self.seed, self.broken = f"v{seed}", seed, broken

    def frames(self, number):
        if self.broken:
            raise UnreadableImage(f"{self.video_id}.mp4 cannot be decoded.")
        rng = np.random.default_rng(self.seed)
        return [Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)) for _ in range(number)]


def collection(size=7, broken=(), per_video=1):
    videos = tuple(Noise(seed, seed in broken) for seed in range(size))
    captions = tuple(f"the {'abcdefghij'[seed]} number {text}" for seed in range(size) for text in range(per_video))
    return CaptionedVideos(videos, captions, tuple(np.repeat(np.arange(size), per_video).tolist()))


def to_tensor(image):
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 64 - 2


def data_of(videos, **options):
    return FrameData(videos, to_tensor, frames=FRAMES, **({"batch_size": 4, "num_workers": 0} | options))


def evaluate(model, videos=None, conditions=CONDITIONS, renormalise=True, **options):
    data = data_of(videos or collection(), **options)
    return retrieve(model, data, conditions, PlainEngine(), Compute("cpu", progress=False), renormalise=renormalise)


@torch.no_grad()
def plain_similarities(model, videos, heads, renormalise):
    """One video at a time: ``[captions, videos]``."""
    with masked(model, heads):
        means = [model.encode_images(torch.stack([to_tensor(f) for f in v.frames(FRAMES)])).mean(0) for v in videos.videos]
    means = torch.stack(means)
    texts = torch.cat([model.encode_texts([caption]) for caption in videos.captions])
    return (texts @ (F.normalize(means, dim=-1) if renormalise else means).T).numpy()


def table(evaluation, condition, direction):
    rows = evaluation.predictions.to_pandas().query("condition == @condition and direction == @direction")
    return rows.set_index("query_id")["rank"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 4, 21, 64])
def test_batches_have_one_size_and_every_frame_once_in_order(batch_size, workers):
    data = data_of(collection(broken=(2,)), batch_size=batch_size, num_workers=workers, on_error="skip")
    batches = list(data.test_dataloader())
    group = batch_size // math.gcd(batch_size, FRAMES)  # as many videos as fill whole batches
    frames = [FRAMES * sum(video != 2 for video in range(first, min(first + group, 7))) for first in range(0, 7, group)]
    sizes = [size for left in frames for size in [batch_size] * (left // batch_size) + [left % batch_size] if size]
    assert [len(batch.pixels) for batch in batches] == sizes
    expected = torch.cat(
        [torch.stack([to_tensor(frame) for frame in video.frames(FRAMES)]) for video in collection().videos if video.seed != 2]
    )
    assert torch.equal(torch.cat([batch.pixels for batch in batches]), expected)
    assert torch.cat([batch.videos for batch in batches]).tolist() == np.repeat([0, 1, 3, 4, 5, 6], FRAMES).tolist()
    assert data.unreadable == [2] and "v2.mp4" in data.skipped[0]


@pytest.mark.parametrize("renormalise", [True, False])
def test_a_flat_stream_equals_one_video_at_a_time(model, renormalise):
    videos = collection(per_video=2)
    evaluation = evaluate(model, videos, renormalise=renormalise)
    for condition in CONDITIONS:
        similarities = plain_similarities(model, videos, condition.heads, renormalise)
        expected = [rankdata(-row, "average")[video] for row, video in zip(similarities, videos.of_video, strict=True)]
        assert table(evaluation, condition.name, "t2v").tolist() == expected
        own = np.array(videos.of_video)
        backward = [rankdata(-row, "average")[own == video].min() for video, row in enumerate(similarities.T)]
        found = table(evaluation, condition.name, "v2t")
        assert found.tolist() == backward and found.index.tolist() == [f"v{seed}" for seed in range(7)]
        assert evaluation.values[condition.name]["t2v_R@1"] == np.mean(np.array(expected) == 1)
        assert evaluation.values[condition.name]["v2t_mean_rank"] == np.mean(backward)


def test_conditions_together_equal_conditions_alone(model):
    together = evaluate(model)
    for condition in CONDITIONS[1:]:
        alone = evaluate(model, conditions=[CONDITIONS[0], condition])
        assert alone.values[condition.name] == together.values[condition.name]
        assert table(alone, condition.name, "t2v").equals(table(together, condition.name, "t2v"))
    assert together.values["empty"] == together.values["original"] != together.values["high_ccs"]


def test_an_undecodable_video_is_an_error_or_a_miss_that_stays(model):
    broken = collection(broken=(2, 5))
    with pytest.raises(CcsError, match=r"v2\.mp4 cannot be decoded.*on_error=skip"):
        evaluate(model, broken)
    whole, part = evaluate(model), evaluate(model, broken, on_error="skip")
    forward = table(part, "original", "t2v")
    assert len(forward) == 7 and forward["v2#0"] == forward["v5#0"] == 7  # the last of seven
    assert table(part, "original", "v2t")["v2"] == 7
    assert (forward.drop(["v2#0", "v5#0"]) <= table(whole, "original", "t2v").drop(["v2#0", "v5#0"])).all()
    assert part.values["original"]["t2v_R@10"] == part.values["original"]["v2t_R@50"] == pytest.approx(5 / 7)
    assert len(part.skipped) == 2 and "2 of 7 videos could not be decoded" in part.warnings[0]
    assert "no better than answers" in whole.warnings[-1] and "Captions may" in whole.warnings[-1] and "classes" not in whole.warnings[-1]
    with pytest.raises(CcsError, match="No video of the data set could be decoded"):
        evaluate(model, collection(2, broken=(0, 1)), on_error="skip")


def test_equal_videos_tie_and_are_counted(model):
    videos = collection()
    same = CaptionedVideos((videos.videos[0],) * 7, videos.captions, videos.of_video)
    evaluation = evaluate(model, same, CONDITIONS[:1], batch_size=FRAMES)  # in single precision, batches of other sizes differ
    assert set(table(evaluation, "original", "t2v")) == {4.0} and sum(evaluation.tied.values()) == 7
    assert evaluation.values["original"]["t2v_R@1"] == 0


def test_embeddings_that_are_no_numbers_are_refused(model):
    videos = FrameData(collection(), lambda image: to_tensor(image) * float("nan"), frames=FRAMES, num_workers=0)
    with pytest.raises(CcsError, match="not all finite"):
        retrieve(model, videos, CONDITIONS[:1], PlainEngine(), Compute("cpu", progress=False), renormalise=True)


def test_a_limit_takes_videos_with_all_their_captions():
    few = collection(per_video=3).limited(4)
    assert len(few.videos) == 4 and len(few.captions) == 12 and sorted(set(few.of_video)) == [0, 1, 2, 3]
    for text, video in zip(few.captions, few.of_video, strict=True):
        assert text.startswith(f"the {'abcdefghij'[few.videos[video].seed]} ")
    assert few.limited(9) is few
    with pytest.raises(CcsError, match="dataset.limit=1 leaves nothing to choose from"):
        few.limited(1)
    assert few.caption_ids[:3] == [f"{few.videos[0].video_id}#{number}" for number in range(3)]


def test_the_paper_normalises_every_model_by_openais_numbers():
    cfg = configure()
    model = build_model(cfg)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8))
    own, paper = model.preprocess(image), with_openai_statistics(model.transform)(image)
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    torch.testing.assert_close(paper, ((own * 0.25 + 0.5) - mean[:, None, None]) / std[:, None, None])
    with pytest.raises(CcsError, match="protocol=paper needs a model"):
        with_openai_statistics(to_tensor)


def test_the_protocols_differ_as_documented(monkeypatch):
    seen = {}

    def fake(model, data, conditions, engine, compute, *, renormalise, name):
        seen[protocol] = (data._dataset.transform, renormalise, len(data.captioned.videos), data.frames)
        return SimpleNamespace(warnings=[], decoder=None)

    monkeypatch.setattr(evaluate_stage, "retrieve", fake)
    for protocol in ("standard", "paper"):
        cfg = configure("dataset=scenes_video", "dataset.limit=5", "dataset.frames=2", f"protocol={protocol}")
        model, source = build_model(cfg), build(cfg.dataset.source)
        evaluate_stage.evaluate(cfg, source, model, [], build_compute(cfg, False), PlainEngine())
    assert seen["standard"][1:] == (True, 5, 2) and seen["paper"][1:] == (False, 5, 2)
    image = Image.fromarray(np.full((32, 32, 3), 128, np.uint8))
    assert not torch.equal(seen["standard"][0](image), seen["paper"][0](image))


def test_the_bundled_videos_leave_a_whole_run_folder(tmp_path, capsys):
    cfg = configure("dataset=scenes_video", "dataset.limit=60", "dataset.frames=4", "probe.num_images=200", "tracker=none", "prune=paper")
    run(cfg, Job(str(tmp_path)))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["metric"], summary["num_samples"], summary["dataset"]) == ("t2v_R@1", 60, "scenes_video")
    assert summary["accuracy"]["original"] > 0.9  # the tiny model knows shapes, colours and backgrounds
    rows = pandas.read_csv(tmp_path / "accuracy.csv")
    metrics = [f"{way}_{name}" for way in ("t2v", "v2t") for name in ("R@1", "R@5", "R@10", "R@50", "median_rank", "mean_rank")]
    assert rows[rows.condition == "original"].metric.tolist() == metrics
    predictions = pandas.read_parquet(tmp_path / "predictions.parquet")
    assert predictions.columns.tolist() == ["query_id", "task", "condition", "direction", "rank", "margin"]
    assert len(predictions) == 2 * 60 * len(summary["accuracy"])
    hits = predictions.query("direction == 't2v' and condition == 'high_ccs'")["rank"] == 1
    assert hits.mean() == pytest.approx(summary["accuracy"]["high_ccs"])
    page = (tmp_path / "report.html").read_text()
    assert "t2v R@1" in page and "v2t median rank" in page
    assert "t2v R@1" in capsys.readouterr().out
