"""Labels are free text; a map says which concepts they stand for."""

import json

import pytest

from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.pruning.strategies import Concept
from ccs_exp.scoring.ccs import HeadScore, Scores
from ccs_exp.scoring.concepts import ConceptMap, load_concepts
from ccs_exp.scoring.published import published_scores
from ccs_exp.scoring.taxonomy import load_taxonomy


@pytest.mark.parametrize(
    ("label", "concepts"),
    [
        ("Geographic locations", {"locations"}),
        ("Animals & wildlife", {"animals"}),
        ("ANIMAL", {"animals"}),
        ("Black and white", {"colors"}),
        ("Colours and textures", {"colors", "textures"}),
        ("Cities", {"locations"}),
        ("Household objects", {"objects"}),
        ("birds", {"animals"}),
        ("colors", {"colors"}),
        ("sea_creatures", {"animals"}),
        ("places", {"places"}),
        ("Fragments", set()),
        ("", set()),
    ],
)
def test_labels_in_any_words(label, concepts):
    assert load_concepts().of(label) == concepts


def test_every_concept_answers_to_its_name_in_any_case():
    concepts = load_concepts()
    for name in concepts.names:
        assert concepts.of(name) == {name}
        assert name in concepts.of(name.replace("_", " ").title())
        assert concepts.means(name.upper(), name)


def test_the_taxonomy_s_own_labels_are_mostly_mapped():
    unmapped = load_concepts().unmapped(load_taxonomy().concepts)
    assert set(unmapped) <= {"fantasy", "music", "science", "space"}


def test_the_longest_phrase_wins():
    concepts = ConceptMap({"food": ["hot dog"], "animals": ["dog"]})
    assert concepts.of("Hot dogs") == {"food"} and concepts.of("Dogs, hot") == {"animals"}


def test_a_concept_that_the_map_lacks_is_the_label_itself():
    scores = Scores(
        tuple(
            HeadScore(Head(0, index), label, 5, "high")
            for index, label in enumerate(["Fragments", "Animals & wildlife", "fragments", None])
        )
    )
    concepts = load_concepts()
    assert scores.of_concept("fragments", concepts) == {Head(0, 0), Head(0, 2)}
    assert scores.of_concept("animals", concepts) == {Head(0, 1)}
    assert scores.concept_names(concepts) == ("animals",)
    assert scores.unmapped_labels(concepts) == ["Fragments", "fragments"]


def test_on_published_labels_it_agrees_with_the_published_concept_heads(shared):
    """Of ViT-B-16 LAION the authors published labels and concept heads apart; the labels give 5 of the 6 heads and no other."""
    labels = {row["head"]: row["intel_label"] for row in json.loads((shared / "data/textspan/vitb16_laion.json").read_text())}
    published = published_scores("vitb16_laion")
    scores = Scores(tuple(HeadScore(s.head, labels[str(s.head)], s.ccs, s.ccs_class) for s in published.heads))
    ours = {name: scores.of_concept(name, load_concepts()) for name in ("locations", "objects", "colors")}
    assert ours["objects"] == published.concepts["objects"] and ours["colors"] == published.concepts["colors"]
    assert published.concepts["locations"] - ours["locations"] == {Head(10, 10)}  # labelled "Activity"
    assert ours["locations"] <= published.concepts["locations"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("animals: [", "is no readable YAML"),
        ("- animals", "must name concepts"),
        ("", "must name concepts"),
        ("animals: wildlife", "'animals' must be"),
        ("Animals: [wildlife]", "'Animals' must be"),
        ("1: [wildlife]", "1 must be"),
        ("animals: [3]", "'animals' must be"),
    ],
)
def test_what_is_no_map_is_refused_before_a_model_loads(tmp_path, content, message):
    path = tmp_path / "concepts.yaml"
    path.write_text(content)
    with pytest.raises(CcsError, match=message):
        Concept(["animals"], str(path))


def test_a_map_that_is_not_there_is_named():
    with pytest.raises(CcsError, match=r"nowhere.yaml: there is no such file.*prune.concept.map=FILE"):
        Concept(["animals"], "nowhere.yaml")
