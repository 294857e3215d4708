"""How many layer passes an evaluation takes is said before it: in the plan, and by the job that does it."""

from PIL import Image
from small_models import small_model

from ccs_exp.config.schema import configure
from ccs_exp.heads import scored_heads
from ccs_exp.jobs.assemble import build_strategies
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.jobs.plan_passes import planned_layer_passes
from ccs_exp.pruning.conditions import conditions
from ccs_exp.pruning.context import PruningContext
from ccs_exp.scoring.ccs import HeadScore, Scores
from ccs_exp.scoring.published import published_scores
from ccs_exp.tasks.classification import ZeroShotClassification


def planned(*overrides, scores=None, layers=6):
    cfg = configure(*overrides)
    heads = scores or Scores(tuple(HeadScore(head, None, None, None) for head in scored_heads(layers, 4)))
    context = PruningContext(heads, layers, 12 if scores else 4, "a model")
    chosen = conditions(build_strategies(cfg.prune), context)
    return planned_layer_passes(cfg, layers, chosen), chosen


def test_the_plan_counts_them():
    # the original's 6, and of each head those from its own layer on: 4 heads in each of the last four layers
    of_heads = 4 * (4 + 3 + 2 + 1)
    assert "17 sets of silenced heads in 46 layer passes" in planned("prune=each_head")[0] and 6 + of_heads == 46
    assert "in 102 layer passes of each batch (102 would be" in planned("prune=each_head", "engine=plain")[0]
    assert "in 6 layer passes" in planned("prune=each_head", "ablation=direct")[0]
    resampled, _ = planned("prune=each_head", "ablation=resample", "resample.seeds=[0,1,2,3,4]")
    assert f"81 sets of silenced heads in {6 + 5 * of_heads} layer passes" in resampled
    published, chosen = planned("model=vitb32_openai", "prune=paper", scores=published_scores("vitb32_openai"), layers=12)
    prefixes = {(layer, frozenset(head for head in item.heads if head.layer <= layer)) for item in chosen for layer in range(12)}
    assert f"6 sets of silenced heads in {len(prefixes)} layer passes" in published


def test_the_job_says_it_before_its_pass(picture_job, tmp_path, monkeypatch, capsys):
    pictures = {f"{name}/1.png": Image.new("RGB", (32, 32), name) for name in ("red", "blue")}
    cfg = picture_job(pictures, "prune=each_head", model=small_model())
    before = []
    real = ZeroShotClassification.test_step

    def step(self, batch, index):
        before.append(capsys.readouterr().out)
        return real(self, batch, index)

    monkeypatch.setattr(ZeroShotClassification, "test_step", step)
    run(cfg, Job(str(tmp_path / "run")))
    assert "17 sets of silenced heads in 46 layer passes of each batch (102 would be a pass each)" in " ".join(before[0].split())
