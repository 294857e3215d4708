"""Labels tested without ablation: intruders, detection, stability, and how easily a score is had."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from ccs_exp.evidence.concept_tests import Task, load_concept_tests
from ccs_exp.evidence.detection import NamedValues, along_texts, detect, detect_factor, factor_of, text_directions
from ccs_exp.evidence.intruder import (
    EmbeddingChooser,
    IntruderShare,
    TaxonomyChooser,
    high_against_low,
    intruder_items,
    intruder_shares,
    mean_share,
)
from ccs_exp.evidence.label_truth import concepts_as_good, easily_had
from ccs_exp.evidence.stability import head_stability, stability
from ccs_exp.heads import Head
from ccs_exp.scoring.ccs import HeadScore, Scores, Thresholds, score
from ccs_exp.scoring.judges.judge import TaxonomyJudge
from ccs_exp.scoring.judges.label import TaxonomyLabeler
from ccs_exp.scoring.spans import HeadSpans
from ccs_exp.scoring.taxonomy import load_taxonomy

TEXTS = {
    "colors": ("something red", "the colour blue", "pink in colour", "a thing painted green", "the colour white"),
    "shapes": ("the star shape", "the drawn ring", "the outline of the heart", "a photo of the cross", "the circle shape"),
    "numbers": ("exactly two", "three of them", "seven in number", "a count of four", "exactly eight"),
    "places": (
        "at the top of the picture",
        "placed at the left",
        "located in the centre area",
        "placed at the right",
        "placed at the bottom",
    ),
    "backgrounds": ("in front of sand", "a backdrop of snow", "sea in the background", "a backdrop of fog", "in front of lava"),
    "sizes": ("an object of tiny size", "a huge thing", "of small extent", "an object of large size", "a medium thing"),
}
SCORES = [
    HeadScore(Head(0, place), label, 5, "high", texts) for place, (label, texts) in enumerate(TEXTS.items())
]  # heads that one concept describes throughout


def test_items_leave_each_description_out_with_twenty_intruders_of_another_concept():
    twin = replace(SCORES[0], head=Head(1, 0), descriptions=("something brown", *TEXTS["colors"][1:]))
    items = intruder_items([*SCORES, twin])
    own = [item for item in items if item.head == Head(0, 0)]
    assert Counter(item.left_out for item in own) == dict.fromkeys(range(5), 20)
    for item in own:
        kept = [text for place, text in enumerate(TEXTS["colors"]) if place != item.left_out]
        assert sorted(item.texts) == sorted([*kept, item.texts[item.place]])
        assert item.texts[item.place] in TEXTS[SCORES[item.intruder_of.index].label] and item.intruder_of not in (
            Head(0, 0),
            Head(1, 0),
        )
    assert len({(item.left_out, item.texts[item.place]) for item in own}) == 100
    places = Counter(item.place for item in items)
    assert all(abs(places[place] / len(items) - 0.2) < 0.06 for place in range(5))
    assert items == intruder_items([*SCORES, twin]) != intruder_items([*SCORES, twin], seed=1)


def test_few_intruders_are_all_used_and_none_means_no_item():
    items = intruder_items(SCORES[:2])
    assert len(items) == 2 * 5 * 5
    assert intruder_items([SCORES[0], replace(SCORES[0], head=Head(1, 1))]) == []
    unlabelled = [replace(item, label=None) for item in SCORES[:2]]
    assert len(intruder_items(unlabelled)) == 50  # whose concepts are not known may be another's


def test_the_taxonomy_finds_the_intruder_among_pure_heads():
    items = intruder_items(SCORES)
    shares = intruder_shares(items, TaxonomyChooser(load_taxonomy()).choose([item.texts for item in items]))
    assert [share.found for share in shares] == [1.0] * 6 and shares[0].answered == 100
    value, interval = mean_share(shares)
    assert value == 1 and interval is not None


def test_the_taxonomy_is_at_chance_where_nothing_is_shared():
    mixed = [
        HeadScore(
            Head(0, place),
            None,
            1,
            "low",
            tuple(texts[(place + shift) % 5] for shift, texts in enumerate(list(TEXTS.values())[:5])),
        )
        for place in range(5)
    ]
    items = intruder_items(mixed)
    choices = TaxonomyChooser(load_taxonomy()).choose([item.texts for item in items])
    alone = [choice for choice, item in zip(choices, items, strict=True) if len(set(item.texts)) == 5]
    assert max(len(choice) for choice in alone) == 5  # five texts of five concepts: all tied
    assert mean_share(intruder_shares(items, choices))[0] < 0.35


def test_the_embedding_chooser_takes_the_least_similar_and_shares_ties():
    vectors = {"a": [1.0, 0.0], "b": [2.0, 0.1], "c": [0.9, 0.05], "d": [1.0, 0.02], "odd": [0.1, 5.0], "copy": [0.1, 5.0]}
    asked = []

    def embed(texts):
        asked.append(texts)
        return np.array([vectors[text] for text in texts])

    chooser = EmbeddingChooser(embed)
    assert chooser.choose([("a", "b", "odd", "c", "d"), ("odd", "a", "copy", "b", "c")]) == [{2}, {0, 2}]
    assert asked == [sorted(vectors)] and chooser.choose([]) == []


def test_ties_count_their_share_and_no_answer_is_no_miss():
    items = intruder_items(SCORES[:2])[:25]
    choices = [frozenset({item.place}) for item in items[:5]] + [
        frozenset({item.place, (item.place + 1) % 5}) for item in items[5:10]
    ]
    choices += [frozenset({(item.place + 1) % 5}) for item in items[10:20]] + [None] * 5
    (share,) = intruder_shares(items, choices)
    assert share.found == pytest.approx((5 + 2.5) / 20) and (share.answered, share.unanswered) == (20, 5)
    assert share.row("taxonomy") == {"head": "L0.H0", "judge": "taxonomy", "found": share.found, "answered": 20, "unanswered": 5}
    (nothing,) = intruder_shares(items, [None] * 25)
    assert nothing.found is None and mean_share([nothing]) is None


def test_scores_along_texts_are_those_of_the_contributions():
    rng = np.random.default_rng(0)
    u, maps = torch.from_numpy(rng.normal(size=(7, 3, 4))), torch.from_numpy(rng.normal(size=(3, 4, 9)))
    shared, own = torch.from_numpy(rng.normal(size=(5, 9))), torch.from_numpy(rng.normal(size=(3, 5, 9)))
    contributions = torch.einsum("bhk,hkd->bhd", u, maps)
    torch.testing.assert_close(along_texts(u, text_directions(maps, shared)), contributions @ shared.T)
    torch.testing.assert_close(along_texts(u, text_directions(maps, own)), torch.einsum("bhd,htd->bht", contributions, own))


COLOUR, SHAPE, PLACE = (Task("scenes", name) for name in ("colour", "shape", "place"))
NAMES = {COLOUR: ["red", "blue"], SHAPE: ["star", "ring", "hot_dog"], PLACE: ["top", "top left"]}


def test_texts_name_values_by_whole_words_the_longest_first():
    named = NamedValues(NAMES)
    assert named.of("a Red figure at the top left") == {COLOUR: {0}, PLACE: {1}}
    assert named.of("red and blue stars") == {COLOUR: {0, 1}, SHAPE: {0}}
    assert named.of("hot dogs") == {SHAPE: {2}} and named.of("a redder thing") == {}


def test_detection_is_the_area_between_images_that_have_what_is_named():
    rng = np.random.default_rng(1)
    targets = {COLOUR: rng.integers(-1, 2, size=200), SHAPE: rng.integers(3, size=200), PLACE: rng.integers(2, size=200)}
    has = (targets[COLOUR] == 0) & (targets[SHAPE] == 0)
    scores = rng.normal(size=200) + has
    found = detect(scores, NamedValues(NAMES).of("a red star"), targets)
    known = targets[COLOUR] >= 0
    assert found.value == pytest.approx(roc_auc_score(has[known], scores[known])) and found.positives == has.sum()
    assert found.interval.low < found.value < found.interval.high
    assert detect(scores, {}, targets) is None
    assert detect(scores, {COLOUR: frozenset({0, 1})}, targets) is None  # all that have a colour have one of the two


def test_a_label_that_names_a_factor_is_one_value_against_the_rest():
    rng = np.random.default_rng(2)
    target = rng.integers(-1, 4, size=300)
    scores = rng.normal(size=(300, 4)) + (target[:, None] == np.arange(4))
    known = target >= 0
    expected = np.mean([roc_auc_score(target[known] == value, scores[known, value]) for value in range(4)])
    assert detect_factor(scores, target).value == pytest.approx(expected)
    balanced = np.arange(300) % 4
    same = np.repeat((rng.normal(size=300) + balanced)[:, None], 4, axis=1)
    assert detect_factor(same, balanced).value == pytest.approx(0.5)  # why each value needs its own text
    assert factor_of("Colour schemes", [SHAPE, COLOUR], load_concept_tests()) == COLOUR
    assert factor_of("joy", [SHAPE], load_concept_tests()) is None


def test_what_comes_again():
    first = Scores(tuple(SCORES[:3]))
    changed = replace(SCORES[1], descriptions=(*TEXTS["shapes"][:3], "x", "y"), ccs=3, ccs_class="moderate")
    unknown = replace(SCORES[2], label=None, ccs=None, ccs_class=None)
    found = head_stability(first, Scores((replace(SCORES[0], label="Colors"), changed, unknown)))
    assert [item.descriptions for item in found] == [1.0, 0.6, 1.0]
    assert [item.label for item in found] == [True, True, None] and [item.ccs for item in found] == [True, False, None]
    shares = stability(found)
    assert shares["descriptions"].value == pytest.approx(2.6 / 3) and shares["descriptions"].heads == 3
    assert (shares["label"].value, shares["ccs"].value, shares["ccs_class"].heads) == (1.0, 0.5, 2)
    assert shares["label"].interval.low < 0.5 and found[1].row()["same_class"] is False
    assert all(share.value == 1 for share in stability(head_stability(first, first)).values())
    with pytest.raises(ValueError, match="different heads"):
        head_stability(first, Scores(tuple(SCORES[:2])))
    published = Scores((HeadScore(Head(0, 0), None, None, None),))
    assert stability(head_stability(published, published))["ccs"].value is None


def test_concepts_that_would_have_scored_as_high():
    taxonomy = load_taxonomy()
    assert concepts_as_good(SCORES[0], taxonomy) == ()
    both = (
        "a red figure in front of sand",
        "a green figure in front of snow",
        "a blue figure in front of sea",
        "something pink",
        "in front of fog",
    )
    mixed = HeadScore(Head(0, 0), "colors", 4, "moderate", both)
    assert concepts_as_good(mixed, taxonomy) == ("backgrounds",)
    assert easily_had([mixed, replace(mixed, ccs=None), replace(mixed, ccs=0)], taxonomy) == [1, None, len(taxonomy.concepts) - 1]


def test_another_label_as_good_is_what_the_taxonomy_s_judge_would_give():
    taxonomy, texts = load_taxonomy(), ("an owl on a branch", "something red", "a red star", "a wren on a branch", "exactly two")
    (one,) = score([HeadSpans(Head(0, 0), texts)], TaxonomyLabeler(), TaxonomyJudge(), Thresholds()).heads

    class Given:
        name = "given"

        def __init__(self, label):
            self.said = label

        def label(self, heads):
            return [self.said]

    as_good = [
        concept
        for concept in taxonomy.concepts
        if concept != one.label
        and score([HeadSpans(Head(0, 0), texts)], Given(concept), TaxonomyJudge(), Thresholds()).heads[0].ccs >= one.ccs
    ]
    assert list(concepts_as_good(one, taxonomy)) == as_good


def test_shares_of_intruders_tell_high_heads_from_low_ones_as_an_area_of_the_known():
    found = (1.0, 0.4, 0.4, None, 0.2, 0.9)
    classes = ("high", "high", "low", "low", "low", "moderate")
    shares = [IntruderShare(Head(0, place), value, 20, 0) for place, value in enumerate(found)]
    area = high_against_low(shares, classes)
    assert (area.value, area.positives, area.negatives) == (roc_auc_score([1, 1, 0, 0], [1.0, 0.4, 0.4, 0.2]), 2, 2)
    assert area.interval.low < area.value < area.interval.high
    assert high_against_low(shares, ("high",) * 6) is None and high_against_low([], []) is None
