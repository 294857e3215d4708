"""What a run warns of: sets that are not what their name says, and a model that judges itself."""

from types import SimpleNamespace

from ccs_exp.heads import Condition
from ccs_exp.jobs.summary_json import _concept_warnings, _one_model_of_two
from ccs_exp.scoring.published import published_scores


def job(model, concept, labeler="gpt-4o", judge="gpt-4o", ccs="computed"):
    scores = published_scores(model)
    config = {"prune": {"concept": {}}, "ccs": {"name": ccs}, "labeler": {"model": labeler}, "judge": {"model": judge}}
    conditions = (Condition("original", frozenset()), Condition(f"concept/{concept}", scores.concepts[concept]))
    return SimpleNamespace(
        config=config, conditions=conditions, loaded=SimpleNamespace(name=model), scored=SimpleNamespace(scores=scores)
    )


def test_a_concept_s_set_with_heads_that_are_not_high_warns():
    (told,) = _concept_warnings(job("vitl14_laion", "objects"))
    assert "objects of vitl14_laion is given with L23.H3, which is not among the high heads" in told
    assert not _concept_warnings(job("vitl14_laion", "locations"))


def test_labeler_and_judge_of_one_model_is_a_caution():
    (told,) = _one_model_of_two(job("vitl14_laion", "objects"))
    assert "Labeler and judge are one model, gpt-4o" in told
    for other in ({"judge": "gemini-2.5-pro"}, {"ccs": "published"}, {"labeler": None, "judge": None}):
        assert not _one_model_of_two(job("vitl14_laion", "objects", **other))
