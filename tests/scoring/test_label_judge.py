from __future__ import annotations

import itertools
from random import Random

import pytest

from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.scoring.judges.judge import Question, TaxonomyJudge, Verdict
from ccs_exp.scoring.judges.label import GivenLabeler, TaxonomyLabeler, commonest_concept
from ccs_exp.scoring.spans import HeadSpans
from ccs_exp.scoring.taxonomy import load_taxonomy

BIRDS = ("a barn owl", "a robin", "two puffins", "a heron", "a stork")
FARM = ("a robin", "a cow", "a goat", "a stork", "a donkey")


def spans(*descriptions: str, index: int = 0, label: str | None = None) -> HeadSpans:
    return HeadSpans(Head(11, index), descriptions, label)


def label_of(*descriptions: str) -> str | None:
    return TaxonomyLabeler().label([spans(*descriptions)])[0]


def ccs(label: str, descriptions: tuple[str, ...]) -> int:
    return TaxonomyJudge().judge([Question(text, label) for text in descriptions]).count(Verdict.ALIGNED)


def test_the_commonest_concept_is_the_label():
    assert label_of("a view of Peru", "a tin of soup", "Lisbon", "a fork", "somewhere in Kenya") == "locations"


def test_of_concepts_with_the_same_descriptions_the_narrower_one_is_the_label():
    assert label_of(*BIRDS) == "birds"
    assert label_of(*FARM) == "animals"


def test_a_tie_goes_to_the_earlier_descriptions():
    assert label_of("Peru", "a trombone", "Kenya", "a clarinet", "unspeakable") == "locations"
    assert label_of("a trombone", "Peru", "a clarinet", "Kenya", "unspeakable") == "music"


def test_no_concept_no_label():
    assert label_of("hmm", "well", "unspeakable", "whatever", "so so") is None
    assert label_of() is None


def test_without_a_tie_the_order_of_the_descriptions_does_not_matter():
    descriptions = ("Peru", "Kenya", "Lisbon", "a trombone", "unspeakable")
    taxonomy = load_taxonomy()
    assert {commonest_concept(order, taxonomy) for order in itertools.permutations(descriptions)} == {"locations"}


def test_no_other_concept_has_more_aligned_descriptions_than_the_label():
    taxonomy = load_taxonomy()
    pool = [description.text for description in taxonomy.pool()]
    random = Random(0)
    for _ in range(300):
        near = random.randrange(len(pool) - 20)  # neighbours in the pool often share a concept, distant texts seldom do
        five = (*random.sample(pool[near : near + 20], 3), *random.sample(pool, 2))
        label = label_of(*five)
        most = max(ccs(concept, five) for concept in set().union(*map(taxonomy.concepts_of, five)))
        assert label is not None and most >= 1
        assert sum(label in taxonomy.concepts_of(text) for text in five) == ccs(label, five) == most


def test_given_labels_are_passed_on_and_missing_ones_are_named():
    labeled = [spans(*BIRDS, label=" Fowl "), spans(*FARM, index=1, label="Farming")]
    assert GivenLabeler().label(labeled) == ["Fowl", "Farming"]
    with pytest.raises(CcsError, match=r"2 of 4 heads: L11\.H2, L11\.H3"):
        GivenLabeler().label([*labeled, spans(*BIRDS, index=2), spans(*BIRDS, index=3, label=" ")])


def test_verdicts():
    def verdict(description: str, label: str) -> str:
        return TaxonomyJudge().judge([Question(description, label)])[0]

    assert verdict("a tall grandfather clock", "Timepieces") == "aligned"
    assert verdict("a donkey by the fence", "Animals") == "aligned"
    assert verdict("a robin", "animals") == "aligned"
    assert verdict("a cow", "birds") == "not_aligned"
    assert verdict("a trombone", "Animals") == "not_aligned"


def test_what_carries_no_concept_is_aligned_with_nothing():
    assert TaxonomyJudge().judge([Question("unspeakable", label) for label in ("animals", "colors")]) == ["not_aligned"] * 2


def test_a_label_that_leads_to_no_concept_leaves_everything_unjudged():
    assert TaxonomyJudge().judge([Question("a cow", "Jurisprudence"), Question("unspeakable", "")]) == ["unjudged"] * 2


def test_every_question_has_its_own_answer_in_order():
    questions = [Question(text, label) for text in (*BIRDS, "unspeakable") for label in ("birds", "food", "Jurisprudence")]
    judge = TaxonomyJudge()
    assert judge.judge(questions) == [judge.judge([question])[0] for question in questions]
    assert judge.judge(questions[::-1]) == judge.judge(questions)[::-1]
    assert judge.judge([]) == []


def test_a_taxonomy_of_ones_own(tmp_path):
    (tmp_path / "mine.yaml").write_text("spells:\n  lexicon: {words: [abracadabra]}\n", encoding="utf-8")
    assert TaxonomyLabeler(tmp_path).label([spans("abracadabra", "a cow")]) == ["spells"]
    questions = [Question("abracadabra", "Spell"), Question("a cow", "Spell")]
    assert TaxonomyJudge(tmp_path).judge(questions) == ["aligned", "not_aligned"]
