"""Relabelling and judging under other heads' labels: what is asked, how often, and what is made of the answers."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.jobs.csv_rows import rescored_rows
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.robustness_file import FILE, read_rescored
from ccs_exp.scoring.ccs import Thresholds, score
from ccs_exp.scoring.judges.judge import TaxonomyJudge, Verdict
from ccs_exp.scoring.judges.label import TaxonomyLabeler
from ccs_exp.scoring.robustness import (
    extra_requests,
    has_draws,
    relabel,
    shuffled_labels,
    summarise_null,
    summarise_relabel,
)
from ccs_exp.scoring.spans import HeadSpans


class LabelEcho:
    name = "echo"

    def label(self, heads):
        return [head.label for head in heads]


class Starts:
    """A description is aligned if it starts like the label; remembers what it was asked."""

    name = "starts"

    def __init__(self):
        self.asked = []

    def judge(self, questions):
        self.asked += questions
        return [
            Verdict.UNJUDGED if question.description == "?" else
            Verdict.ALIGNED if question.description[0] == question.label[0] else Verdict.NOT_ALIGNED
            for question in questions
        ]  # fmt: skip


class Wavering:
    """A labeler with draws: the letter of the description that the draw points at."""

    name = "wavering"

    def label(self, heads, draw=0):
        return [head.descriptions[draw % 5][0] for head in heads]


def spans_of(rows):
    return [HeadSpans(Head(index // 4, index % 4), tuple(texts), label) for index, (texts, label) in enumerate(rows)]


def scores_of(rows, labeler=None, judge=None):
    return score(spans_of(rows), labeler or LabelEcho(), judge or Starts(), Thresholds())


MIXED = [(["a1", "a2", "a3", "a4", "a5"], "a"), (["b1", "b2", "b3", "a1", "a2"], "b"), (["c1", "a1", "b1", "b2", "c2"], "c"),
         (["c1", "c2", "c3", "c4", "c5"], "c")]  # fmt: skip

label_lists = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(label_lists, st.integers(0, 15), st.integers(0, 5))
def test_every_draw_hands_each_label_to_another_head_once(labels, draws, seed):
    scores = scores_of([([f"{label}{n}" for n in range(5)], label) for label in labels])
    judge = Starts()
    rescored = shuffled_labels(scores, judge, Thresholds(), draws, seed)
    own = {item.head: item.label for item in scores.heads}
    pairs = [(item.head, item.label_of) for item in rescored]
    assert len(set(pairs)) == len(pairs)  # no head meets a head's label twice
    for item in rescored:
        assert item.head != item.label_of and item.label == own[item.label_of] != own[item.head]
        assert item.ccs == 0 and item.verdicts == (Verdict.NOT_ALIGNED,) * 5
    for _, count in Counter((item.draw, item.label_of) for item in rescored).items():
        assert count == 1
    made = min(draws, len(labels) - 1)
    assert len(judge.asked) == len(set(judge.asked)) <= extra_requests(len(labels), 0, draws).questions
    if made == len(labels) - 1:  # then everything there is was asked
        assert len(pairs) == sum(one != other for one in labels for other in labels)


def test_chance_is_that_of_all_pairs_of_head_and_foreign_label():
    scores = scores_of(MIXED)
    rescored = shuffled_labels(scores, Starts(), Thresholds(), draws=99)
    by_hand = {
        (item.head, other.head): sum(text[0] == other.label for text in item.descriptions)
        for item in scores.heads
        for other in scores.heads
        if other.label != item.label
    }
    assert {(item.head, item.label_of): item.ccs for item in rescored} == by_hand
    told = summarise_null(scores, rescored)
    assert told["judged"] == len(by_hand) == 10
    assert told["mean"] == pytest.approx(np.mean(list(by_hand.values())))
    assert told["ccs_at_k"]["2"] == pytest.approx(list(by_hand.values()).count(2) / 10) and sum(told["ccs_at_k"].values()) == 1
    assert told["high"] == 0 and told["observed_high"] == 0.5 and told["high_interval"] is None
    own = {item.head: item.ccs for item in scores.heads}
    for k in range(6):  # how easily a CCS of k was had
        enough = [ccs >= k for (head, _), ccs in by_hand.items() if own[head] == k]
        assert told["as_much"][str(k)] == (pytest.approx(np.mean(enough)) if enough else None)
    assert told["as_much"]["2"] == 0.5 and told["as_much"]["5"] == 0


def test_the_seed_chooses_which_pairs_are_asked():
    scores = scores_of([([f"{label}{n}" for n in range(5)], label) for label in "abcdefg"])
    pairs = [[(i.head, i.label_of) for i in shuffled_labels(scores, Starts(), Thresholds(), 2, seed)] for seed in (0, 0, 1)]
    assert pairs[0] == pairs[1] != pairs[2] and len(pairs[0]) == 14


def test_unjudged_is_neither_high_nor_low_by_chance():
    scores = scores_of([(["?", "a2", "a3", "a4", "a5"], "b"), (["b1"] * 5, "a")])
    rescored = shuffled_labels(scores, Starts(), Thresholds(), 1)
    assert [item.ccs for item in rescored] == [None, 5]
    assert summarise_null(scores, rescored)["judged"] == 1


@pytest.mark.parametrize("rows", [[], MIXED[:1], [(MIXED[0][0], "a"), (MIXED[1][0], "A ")]])
def test_without_a_foreign_label_there_is_no_chance_level(rows):
    scores = scores_of(rows)
    assert shuffled_labels(scores, Starts(), Thresholds(), 9) == [] and summarise_null(scores, []) is None


def test_a_labeler_with_draws_is_asked_for_each_draw():
    scores = scores_of(MIXED, Wavering())
    rescored = relabel(scores, Wavering(), Starts(), Thresholds(), draws=4)
    assert has_draws(Wavering()) and not has_draws(TaxonomyLabeler())
    mixed = [item for item in rescored if item.head == Head(0, 1)]
    assert [(item.draw, item.label, item.ccs) for item in mixed] == [(1, "b", 3), (2, "b", 3), (3, "a", 2), (4, "a", 2)]
    told = summarise_relabel(scores, rescored)
    assert told["draws"] == 4 and told["heads"] == 4 and told["high_overlap"] == 1
    assert told["same_ccs"] == pytest.approx(13 / 16)
    assert told["same_class"] == pytest.approx(15 / 16) and told["changing_class"] == 0.25  # L0.H2 is low under a


def test_a_class_that_moves_is_counted():
    scores = scores_of([(["a1", "b1", "b2", "b3", "b4"], "a")], Wavering())  # the run: a, CCS 1, low
    told = summarise_relabel(scores, relabel(scores, Wavering(), Starts(), Thresholds(), draws=2))  # then b, CCS 4
    assert (told["same_class"], told["changing_class"], told["same_ccs"]) == (0, 1, 0)
    assert told["mean_sd"] == pytest.approx(np.std([1, 4, 4])) and told["high_overlap"] is None


def test_a_labeler_that_always_says_the_same_sees_four_of_the_five():
    seen = []

    class Noting(LabelEcho):
        def label(self, heads):
            seen.append([head.descriptions for head in heads])
            return [head.descriptions[0][0] for head in heads]

    scores = scores_of(MIXED)
    rescored = relabel(scores, Noting(), Starts(), Thresholds(), draws=5, seed=2)
    for head in range(4):
        texts = MIXED[head][0]
        left_out = [set(texts) - set(draw[head]) for draw in seen]
        assert all(len(draw[head]) == 4 for draw in seen)
        assert set().union(*left_out) == set(texts) and sum(map(len, left_out)) == 5
    assert all(item.verdicts and len(item.verdicts) == 5 for item in rescored)  # all five are judged


def test_leaving_one_description_out_moves_a_label_that_hangs_on_it():
    firm = (["a barn owl", "a robin", "two puffins", "a heron", "a stork"], None)
    loose = (["Peru", "a trombone", "Kenya", "a clarinet", "unspeakable"], None)
    scores = scores_of([firm, loose], TaxonomyLabeler(), TaxonomyJudge())
    rescored = relabel(scores, TaxonomyLabeler(), TaxonomyJudge(), Thresholds(), draws=5)
    labels = [{item.label for item in rescored if item.head == Head(0, index)} for index in (0, 1)]
    assert labels == [{"birds"}, {"locations", "music"}]


def test_a_head_without_a_new_label_is_unjudged():
    class Silent(LabelEcho):
        def label(self, heads, draw=0):
            return [None for _ in heads]

    scores = scores_of(MIXED)
    judge = Starts()
    rescored = relabel(scores, Silent(), judge, Thresholds(), draws=1)
    assert {item.ccs for item in rescored} == {None} and not judge.asked and summarise_relabel(scores, rescored) is None


def test_no_question_is_asked_twice():
    judge = Starts()
    relabel(scores_of(MIXED), Wavering(), judge, Thresholds(), draws=20)
    assert len(judge.asked) == len(set(judge.asked))
    assert len(judge.asked) < extra_requests(4, 20, 0).questions == 400


def test_rows_are_read_back(tmp_path):
    scores = scores_of([*MIXED, (["?", "a", "b", "c", "d"], "d")])
    rescored = relabel(scores, Wavering(), Starts(), Thresholds(), 2) + shuffled_labels(scores, Starts(), Thresholds(), 2)
    RunFolder(tmp_path).write(FILE, rescored_rows(rescored))
    read = [(item.kind, item.draw, item.head, item.label, item.ccs, item.ccs_class) for item in read_rescored(tmp_path)]
    assert read == [(item.kind, item.draw, str(item.head), item.label, item.ccs, item.ccs_class) for item in rescored]
    assert read_rescored(tmp_path / "elsewhere") == ()


@pytest.mark.parametrize("change", [("relabel", "rename"), ("aligned", "perhaps"), ("L0.H0", "H0"), (",5,high", ",9,high"),
                                    (",5,high", ",5,best"), ("relabel,1", "relabel,one")])  # fmt: skip
def test_damaged_rows_are_errors(tmp_path, change):
    RunFolder(tmp_path).write(FILE, rescored_rows(relabel(scores_of(MIXED), Wavering(), Starts(), Thresholds(), 1)))
    text = (tmp_path / FILE).read_text()
    assert change[0] in text
    (tmp_path / FILE).write_text(text.replace(change[0], change[1], 1))
    with pytest.raises(CcsError, match=r"row 1 is damaged|'H0' is not a head"):
        read_rescored(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["robustness.relabel_draws=-1"], r"robustness\.relabel_draws=-1: give a number of at least 0"),
        (["robustness.shuffled_labels=-2"], r"robustness\.shuffled_labels=-2"),
        (["robustness.shuffled_labels=3", "ccs=published", "model=vitb32_openai"], "ccs=published takes scores as they are"),
        (["robustness.relabel_draws=3", "ccs=file", "ccs.path=a"], r"spans=file spans\.path=RUN/heads\.csv"),
        (["robustness.relabel_draws=3", "labeler=given", "spans=file", "spans.path=a"], "which labeler=given cannot"),
    ],
)
def test_what_cannot_work_dies_at_composition(overrides, message):
    with pytest.raises(CcsError, match=message):
        configure(*overrides)


def test_a_job_reports_both(tmp_path):
    rows = [{"head": str(item.head), "top5": list(item.descriptions)} for item in spans_of(
        [(["a barn owl", "a robin", "two puffins", "a heron", "a stork"], None),
         (["Peru", "a trombone", "Kenya", "a clarinet", "<b>unspeakable</b>"], None),
         (["Peru", "Kenya", "Lisbon", "Rome", "a robin"], None)])]  # fmt: skip
    (tmp_path / "spans.json").write_text(json.dumps(rows))
    options = ["tracker=none", "spans=file", f"spans.path={tmp_path}/spans.json"]
    asked = ["robustness.relabel_draws=5", "robustness.shuffled_labels=50"]
    for name, extra in (("with", asked), ("without", ["robustness.shuffled_labels=0"]), ("as it comes", [])):
        run(configure(*options, *extra), Job(str(tmp_path / name)))
    told = RunFolder(tmp_path / "with").read_summary()["robustness"]
    assert told["relabel"]["draws"] == 5 and 0 < told["relabel"]["same_ccs"] <= 1
    assert told["shuffled_labels"]["draws"] == 2 and told["shuffled_labels"]["mean"] < told["shuffled_labels"]["observed_mean"]
    for name in ("robustness.csv", "figures/null_ccs.png", "figures/relabel.png"):
        assert (tmp_path / "with" / name).stat().st_size > 100 and not (tmp_path / "without" / name).exists()
    page = (tmp_path / "with" / "report.html").read_text()
    assert 'id="robustness"' in page and "By concept" in page and "Head by head" in page
    assert 'id="robustness"' not in (tmp_path / "without" / "report.html").read_text()
    assert RunFolder(tmp_path / "without").read_summary()["robustness"] is None
    by_itself = RunFolder(tmp_path / "as it comes").read_summary()["robustness"]  # a judge that costs nothing tells chance unasked
    assert by_itself["relabel"] is None and by_itself["shuffled_labels"] == told["shuffled_labels"]
    later = configure(*options, "robustness.shuffled_labels=0")
    run(later, Job(str(tmp_path / "with")))  # a later run without takes everything away
    assert not (tmp_path / "with" / "robustness.csv").exists() and not (tmp_path / "with" / "figures" / "relabel.png").exists()
