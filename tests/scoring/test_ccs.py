"""The score: counting verdicts, classes, CCS@K, and reading descriptions and scores from files."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.scoring.ccs import Thresholds, score
from ccs_exp.scoring.judges.judge import Verdict
from ccs_exp.scoring.spans import HeadSpans, read_spans


class LabelEcho:
    name = "echo"

    def label(self, heads):
        return [head.label for head in heads]


class VerdictInText:
    """The description says what its verdict is."""

    name = "text"

    def judge(self, questions):
        return [Verdict(question.description) for question in questions]


def scores_of(*rows, thresholds=None):
    spans = [HeadSpans(Head(0, index), tuple(row), "a label") for index, row in enumerate(rows)]
    return score(spans, LabelEcho(), VerdictInText(), thresholds or Thresholds())


five_verdicts = st.lists(st.sampled_from([v.value for v in Verdict]), min_size=5, max_size=5)


@given(st.lists(five_verdicts, min_size=1, max_size=20))
def test_ccs_counts_the_aligned_and_is_absent_where_one_is_unjudged(rows):
    scores = scores_of(*rows)
    for row, got in zip(rows, scores.heads, strict=True):
        if "unjudged" in row:
            assert got.ccs is None and got.ccs_class is None
        else:
            assert got.ccs == row.count("aligned")
    assert scores.unjudged == sum(row.count("unjudged") for row in rows)
    fractions = scores.ccs_at_k()
    if all("unjudged" in row for row in rows):
        assert fractions is None
    else:
        assert list(fractions) == [0, 1, 2, 3, 4, 5] and sum(fractions.values()) == pytest.approx(1)


def test_a_head_without_a_label_is_unjudged_not_zero():
    spans = [HeadSpans(Head(0, 0), ("aligned",) * 5, None), HeadSpans(Head(0, 1), ("aligned",) * 5, "a label")]
    scores = score(spans, LabelEcho(), VerdictInText(), Thresholds())
    assert [item.ccs for item in scores.heads] == [None, 5]
    assert scores.heads[0].verdicts == (Verdict.UNJUDGED,) * 5


def test_classes_follow_the_thresholds():
    rows = [["aligned"] * k + ["not_aligned"] * (5 - k) for k in range(6)]
    assert [s.ccs_class for s in scores_of(*rows).heads] == ["low", "low", "moderate", "moderate", "moderate", "high"]
    wide = Thresholds(high=4, low=2)
    assert [s.ccs_class for s in scores_of(*rows, thresholds=wide).heads] == ["low", "low", "low", "moderate", "high", "high"]


@pytest.mark.parametrize(("high", "low"), [(1, 1), (6, 1), (5, -1), (2, 3)])
def test_thresholds_that_do_not_separate_are_an_error(high, low):
    with pytest.raises(CcsError, match="do not separate"):
        Thresholds(high, low)


TOP5 = ["a", "b", "c", "d", "e"]


def write(path, content):
    path.write_text(content, encoding="utf-8")
    return path


def test_spans_read_the_same_from_json_and_csv(tmp_path):
    as_json = write(
        tmp_path / "s.json", json.dumps([{"head": "L1.H2", "top5": TOP5, "intel_label": "X"}, {"head": "L0.H1", "top5": TOP5}])
    )
    columns = ",".join(f"description_{n}" for n in range(1, 6))
    as_csv = write(tmp_path / "s.csv", f"head,{columns},label\nL1.H2,a,b,c,d,e,X\nL0.H1,a,b,c,d,e,\n")
    spans = read_spans(as_json)
    assert [item.head for item in spans] == [Head(0, 1), Head(1, 2)]
    assert [item.label for item in spans] == [None, "X"] and spans == read_spans(as_csv)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.json", json.dumps([{"head": "L1.H2", "top5": TOP5[:4]}]), r"needs 5 descriptions, but L1\.H2 has 4"),
        ("s.json", json.dumps([{"head": "L1.H2", "top5": [*TOP5[:4], " "]}]), r"L1\.H2 has 4"),
        ("s.json", json.dumps([{"head": "L1.H2", "top5": TOP5}] * 2), r"L1\.H2 more than once"),
        ("s.json", json.dumps([{"head": "1.2", "top5": TOP5}]), "'1.2' is not a head"),
        ("s.json", json.dumps([{"head": "L1.H2", "top5": "abcde"}]), "entry 1: top5 is a list of texts, not \"abcde\""),
        ("s.json", json.dumps([{"top5": TOP5}]), "entry 1 must be an object with head"),
        ("s.json", json.dumps({"L1.H2": TOP5}), "list of objects"),
        ("s.json", "[", "cannot be read as JSON"),
        ("s.json", "[]", "describes no head"),
        ("s.csv", "head,description_1\nL1.H2,a\n", "lacks the columns description_2, description_3"),
        ("s.csv", "", "lacks the columns head"),
    ],
)
def test_malformed_spans_are_errors(tmp_path, name, content, message):
    with pytest.raises(CcsError, match=message):
        read_spans(write(tmp_path / name, content))


def test_a_missing_spans_file_is_an_error(tmp_path):
    with pytest.raises(CcsError, match="there is no such file"):
        read_spans(tmp_path / "none.json")
