"""Panels: votes, ties, and agreement between judges."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from ccs_exp.errors import CcsError
from ccs_exp.scoring.judges.judge import Question, TaxonomyJudge, Verdict
from ccs_exp.scoring.judges.opinion import Opinion
from ccs_exp.scoring.judges.panel import Panel, between_judges

YES, NO, NONE = Verdict.ALIGNED, Verdict.NOT_ALIGNED, Verdict.UNJUDGED


class Says:
    """A judge that says what it is told to."""

    name = "says"

    def __init__(self, *verdicts):
        self.verdicts = verdicts

    def judge(self, questions):
        return [self.verdicts[int(question.description)] for question in questions]


def panel(*votes, **settings):
    """The verdict on one question that the judges vote so on, and the number of ties."""
    judges = Panel({str(number): Says(vote) for number, vote in enumerate(votes)}, **settings)
    (verdict,) = judges.judge([Question("0", "L")])
    return verdict, len(judges.tied)


@pytest.mark.parametrize(
    ("votes", "majority", "ties", "unanimous"),
    [
        ((YES, YES), YES, 0, YES),
        ((YES, NO), NONE, 1, NO),
        ((YES, YES, NO), YES, 0, NO),
        ((YES, NO, NO), NO, 0, NO),
        ((YES, YES, NONE), YES, 0, NONE),
        ((YES, NO, NONE), NONE, 0, NO),
        ((YES, NONE, NONE), NONE, 0, NONE),
        ((NO, NONE, NONE), NONE, 0, NO),
        ((NONE, NONE, NONE), NONE, 0, NONE),
        ((YES, YES, NO, NO), NONE, 1, NO),
        ((YES, YES, YES, NO), YES, 0, NO),
    ],
)
def test_votes(votes, majority, ties, unanimous):
    for order in itertools.permutations(votes):
        assert panel(*order) == (majority, ties)
        assert panel(*order, rule="unanimous") == (unanimous, 0)


def test_a_tie_is_what_the_setting_says_and_a_missing_verdict_is_no_tie():
    assert panel(YES, NO, tie="not_aligned") == (NO, 1)
    assert panel(YES, NO, NONE, tie="not_aligned") == (NONE, 0)


def test_a_panel_of_one_judge_three_times_is_that_judge():
    questions = [Question("a red square", "Colors"), Question("Peru", "Colors"), Question("hm", "qqq")]
    judges = Panel({name: TaxonomyJudge() for name in "abc"})
    assert judges.judge(questions) == TaxonomyJudge().judge(questions) == [YES, NO, NONE]
    assert [opinion.judge for opinion in judges.opinions] == [*"aaabbbccc"]


def test_impossible_panels_are_refused():
    with pytest.raises(CcsError, match="two judges or more"):
        Panel({"one": Says(YES)})
    with pytest.raises(CcsError, match="majority, unanimous"):
        Panel({"a": Says(YES), "b": Says(NO)}, rule="loudest")


def opinions(ratings):
    names = {1: YES, 0: NO, None: NONE}
    return [
        Opinion(f"judge {column}", Question(str(row), "L"), names[rating])
        for row, given in enumerate(ratings)
        for column, rating in enumerate(given)
    ]


def fleiss(ratings):
    """Fleiss' kappa from its definition (Fleiss 1971)."""
    counts = np.array([[row.count(0), row.count(1)] for row in ratings])
    n = counts.sum(axis=1)[0]
    agreement = ((counts**2).sum(axis=1) - n) / (n * (n - 1))
    chance = ((counts.sum(axis=0) / counts.sum()) ** 2).sum()
    return (agreement.mean() - chance) / (1 - chance)


def test_agreement_is_cohens_and_fleiss():
    ratings = np.random.default_rng(0).integers(0, 2, (40, 3))
    ratings[:25, 1] = ratings[:25, 0]
    between = between_judges(opinions(ratings.tolist()))
    assert between["cohen_kappa"]["judge 0 / judge 1"] == pytest.approx(cohen_kappa_score(ratings[:, 0], ratings[:, 1]))
    assert len(between["cohen_kappa"]) == 3 and between["questions"] == 40
    assert between["fleiss_kappa"] == pytest.approx(fleiss(ratings.tolist()))
    assert between["raw_agreement"] == pytest.approx((ratings.min(axis=1) == ratings.max(axis=1)).mean())


def test_questions_that_a_judge_left_out_do_not_count_for_agreement():
    ratings = [[1, 1], [0, 0], [1, 0], [None, 1], [0, None]]
    between = between_judges(opinions(ratings))
    assert between["questions"] == 3
    assert between["fleiss_kappa"] == pytest.approx(fleiss(ratings[:3])) and between["raw_agreement"] == pytest.approx(2 / 3)


def test_agreement_that_is_not_defined_is_absent():
    same = between_judges(opinions([[1, 1], [1, 1]]))
    assert (same["raw_agreement"], same["fleiss_kappa"], list(same["cohen_kappa"].values())) == (1.0, None, [None])
    none = between_judges(opinions([[1, None], [None, 0]]))
    assert (none["questions"], none["raw_agreement"], none["fleiss_kappa"]) == (0, None, None)
    assert between_judges(opinions([[1], [0]])) is None and between_judges([]) is None
