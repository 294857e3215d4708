"""What silencing costs on the bundled model, beside what an independent computation found."""

import pytest

from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.config.schema import configure
from ccs_exp.evidence.effects_of_conditions import Effects
from ccs_exp.heads import Condition, Head
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.encode import build_compute, build_model
from ccs_exp.jobs.evaluate_stage import evaluate

MEASURED = {  # head and task: the cost in logits over two seeds of 4,200 scenes, and the standardised one, each silenced by zeros
    ("L5.H6", "background"): (2.75, 2.78, 2.3),
    ("L4.H7", "colour"): (1.02, 1.05, 0.63),
    ("L5.H4", "colour"): (1.00, 1.01, 0.62),
    ("L3.H6", "background"): (0.38, 0.41, 0.32),
    ("L5.H0", "size"): (3.1, 3.2, 1.26),
}


def test_costs_on_the_bundled_model_are_found_again():
    """On scenes of another seed, and fewer: within the intervals."""
    cfg = configure("dataset=scenes", "dataset.source.num_images=700", "dataset.source.seed=5", "tracker=none")
    names = list(dict.fromkeys(name for name, _ in MEASURED))
    conditions = [Condition("original", frozenset()), *(Condition(f"head/{name}", frozenset({Head.parse(name)})) for name in names)]
    found = evaluate(cfg, build(cfg.dataset.source), build_model(cfg), conditions, build_compute(cfg, False), SharedPrefixEngine())
    effects = Effects(found, "scenes")
    for (name, task), (least, most, standardised) in MEASURED.items():
        costs, place = effects.costs(task), names.index(name)
        assert costs.low[place] <= most and costs.high[place] >= least, (name, task)
        assert costs.standardised[place] == pytest.approx(standardised, rel=0.15)
        assert costs.high[place] - costs.low[place] < 0.4 * costs.cost[place]
