from __future__ import annotations

from pathlib import Path

import pytest

from ccs_exp.errors import CcsError
from ccs_exp.scoring.taxonomy import load_taxonomy

ORIGINAL_POOL = Path(__file__).parents[3] / "shared" / "data" / "pools" / "image_descriptions_general.txt"

SMALL = """
animals:
  aliases: [beasts]
  lexicon: {words: [dog, fox, pony], patterns: ['\\bpaw(s|ed)?\\b']}
  descriptions:
    - texts: ["a dog", "a shared text"]
birds:
  broader: [animals]
  lexicon: {from_values: true}
  descriptions:
    - templates: ["{a} on a twig", "two {}s"]
      values: [owl, wren]
"""
FOOD = """
food:
  lexicon: {words: [hot dog, bread]}
  descriptions:
    - texts: ["A  shared text", "bread"]
"""


def taxonomy_of(folder: Path, **parts: str):
    folder.mkdir(exist_ok=True)
    for part, content in parts.items():
        (folder / f"{part}.yaml").write_text(content, encoding="utf-8")
    return load_taxonomy(folder)


@pytest.fixture
def small(tmp_path):
    return taxonomy_of(tmp_path / "small", living=SMALL, kitchen=FOOD)


def test_templates_take_their_values_with_and_without_an_article(small):
    texts = {d.text for d in small.pool(["living"])}
    assert texts == {"a dog", "a shared text", "an owl on a twig", "a wren on a twig", "two owls", "two wrens"}


def test_a_text_of_two_parts_stands_once_and_carries_the_concepts_of_both(small):
    shared = [d for d in small.pool() if "shared" in d.text]
    assert [d.concepts for d in shared] == [{"animals", "food"}]
    for part in small.parts:
        (alone,) = [d for d in small.pool([part]) if "shared" in d.text]
        assert alone.concepts == {"animals", "food"} and alone.part == part


def test_the_order_of_the_named_parts_does_not_matter(small):
    assert small.pool(["living", "kitchen"]) == small.pool(["kitchen", "living"]) == small.pool()


def test_broader_concepts_come_with_the_narrower_one(small):
    assert small.concepts_of("an owl on a twig") == {"birds", "animals"}
    assert small.concepts_of("Owls at night") == {"birds", "animals"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The DOG barks", {"animals"}),
        ("two foxes", {"animals"}),
        ("ponies", {"animals"}),
        ("a dogma", set()),
        ("muddy paws", {"animals"}),
        ("a hot dog", {"food"}),
        ("a hot dog for the dog", {"food", "animals"}),
        ("nothing of note", set()),
    ],
)
def test_lexicons_match_whole_words_and_the_longest_phrase(small, text, expected):
    assert small.concepts_of(text) == expected


def test_a_description_of_the_pool_carries_exactly_its_concepts(tmp_path):
    taxonomy = taxonomy_of(tmp_path, a="x:\n  lexicon: {words: [owl]}\ny:\n  descriptions: [{texts: [an owl]}]\n")
    assert taxonomy.concepts_of("an owl") == {"y"}
    assert taxonomy.concepts_of("one owl") == {"x"}


def test_a_label_is_a_name_an_alias_or_free_text(small):
    assert small.concepts_of_label("Animal") == small.concepts_of_label(" beasts ") == {"animals"}
    assert small.concepts_of_label("Wrens") == {"birds"}
    assert small.concepts_of_label("Food and animals") == {"food", "animals"}
    assert small.concepts_of_label("Jurisprudence") == small.concepts_of_label("") == frozenset()


def test_the_share_of_tagged_texts(small):
    assert small.tagged_share(["a dog", "bread", "x", "y"]) == 0.5
    with pytest.raises(CcsError):
        small.tagged_share([])


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("x: [unclosed", ["bad.yaml"]),
        ("x: {}\nx: {}", ["bad.yaml", "x"]),
        ("- x", ["bad.yaml"]),
        ("x: {lexikon: {}}", ["bad.yaml", "'x'", "lexikon"]),
        ("x: {lexicon: {word: [a]}}", ["bad.yaml", "'x'", "word"]),
        ("x: {lexicon: {words: [a, yes]}}", ["bad.yaml", "'x'", "True"]),
        ("x: {lexicon: {words: a}}", ["bad.yaml", "'x'"]),
        ("x: {lexicon: {from_values: 3}}", ["bad.yaml", "'x'", "3"]),
        ("x: {lexicon: {patterns: ['(']}}", ["bad.yaml", "'x'", "regular expression"]),
        ("x: {descriptions: [{templates: ['{}']}]}", ["bad.yaml", "'x'"]),
        ("x: {descriptions: [{templates: ['no place'], values: [a]}]}", ["bad.yaml", "'x'", "no place"]),
        ("x: {broader: [y]}", ["'x'", "'y'"]),
        ("x: {lexicon: {words: ['!']}}", ["bad.yaml", "'x'", "'!'"]),
    ],
)
def test_what_is_wrong_is_named_with_file_and_concept(tmp_path, content, named):
    with pytest.raises(CcsError) as caught:
        taxonomy_of(tmp_path, bad=content)
    assert all(name in str(caught.value) for name in named)


def test_a_folder_without_a_taxonomy_and_an_unknown_part(tmp_path, small):
    for folder in (tmp_path / "absent", tmp_path):
        with pytest.raises(CcsError, match="holds no taxonomy"):
            load_taxonomy(folder)
    with pytest.raises(CcsError, match="living"):
        small.pool(["livign"])


def test_the_packaged_pool_is_wide():
    taxonomy = load_taxonomy()
    pool = taxonomy.pool()
    assert len(pool) >= 3000
    assert len({d.text.casefold() for d in pool}) == len(pool)
    assert all(d.concepts and d.text == d.text.strip() and "{" not in d.text for d in pool)
    assert {d.part for d in pool} == set(taxonomy.parts)
    assert all(taxonomy.concepts_of(d.text) == d.concepts for d in pool)


def test_every_packaged_concept_can_fill_five_descriptions():
    taxonomy = load_taxonomy()
    assert {concept: taxonomy.size(concept) for concept in taxonomy.concepts if taxonomy.size(concept) < 8} == {}


def test_every_packaged_concept_answers_to_its_name():
    taxonomy = load_taxonomy()
    for concept in taxonomy.concepts:
        assert taxonomy.concepts_of_label(concept) == {concept}
        for label in (concept.title(), concept.replace("_", " ").title(), concept.upper()):
            assert concept in taxonomy.concepts_of_label(label)


@pytest.mark.parametrize(
    ("text", "expected", "not_expected"),
    [
        ("A snapshot of somebody's labrador", "animals", "food"),
        ("hot dogs at the stadium", "food", "animals"),
        ("Sunset over Kuala Lumpur", "locations", "birds"),
        ("a zebra crossing downtown", "urban_scenes", "animals"),
        ("dramatic skies", "sky", "sports"),
        ("a glass of orange juice", "drinks", "colors"),
        ("a black and white picture", "photo_styles", "colors"),
        ("a sign with the letter k", "letters", "numbers"),
        ("the Galápagos", "locations", "animals"),
    ],
)
def test_the_packaged_lexicons_tag_text_from_elsewhere(text, expected, not_expected):
    concepts = load_taxonomy().concepts_of(text)
    assert expected in concepts and not_expected not in concepts


@pytest.mark.skipif(not ORIGINAL_POOL.exists(), reason=f"the original pool is not at {ORIGINAL_POOL}")
def test_the_original_pool_is_mostly_tagged_and_not_copied():
    original = {line.strip() for line in ORIGINAL_POOL.read_text(encoding="utf-8").split("\n") if line.strip()}
    taxonomy = load_taxonomy()
    assert taxonomy.tagged_share(sorted(original)) > 0.9
    ours = {d.text.casefold() for d in taxonomy.pool()}
    assert len(ours & {text.casefold() for text in original}) <= 10
