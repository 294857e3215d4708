"""Skews and NDKL of rankings: laws first, then rankings worked out by hand, and the authors' arithmetic in words of our own."""

import itertools
import math

import numpy as np
import pytest

from ccs_exp.data.images.source import NO_CLASS
from ccs_exp.errors import CcsError
from ccs_exp.tasks.group_rankings import SIZE, TOP, Occupations, rankings
from ccs_exp.tasks.skew import (
    default_k,
    extremes,
    group_counts,
    ndkl,
    one_list_top,
    random_level,
    sizes_by_appearance,
    skews,
    smoothed_skews,
    top,
)

RNG = np.random.default_rng(0)


def plain_ndkl(ranking, sizes):
    """As Geyik et al. define it: for every prefix the divergence of its shares from those of all."""
    total, found, weights = sum(sizes), 0.0, 0.0
    for depth in range(1, len(ranking) + 1):
        prefix, divergence = list(ranking[:depth]), 0.0
        for group, size in enumerate(sizes):
            share = prefix.count(group) / depth
            if share > 0:
                divergence += share * math.log(share / (size / total))
        found += divergence / math.log2(depth + 1)
        weights += 1 / math.log2(depth + 1)
    return found / weights


def test_every_group_at_its_share_has_no_skew_and_the_ndkl_of_its_first_prefixes():
    sizes, ranking = np.array([60, 30, 10]), [0, 1, 0, 0, 1, 0, 0, 1, 0, 2]
    in_top = group_counts(np.array([ranking]), 3)
    assert in_top.tolist() == [[6, 3, 1]]
    assert skews(in_top, sizes) == pytest.approx(np.zeros((1, 3)), abs=1e-12)
    assert smoothed_skews(in_top, sizes) == pytest.approx(np.zeros((1, 3)), abs=1e-12)
    assert ndkl(np.array([ranking]), sizes)[0] == pytest.approx(plain_ndkl(ranking, sizes))
    assert 0 < ndkl(np.array([ranking]), sizes)[0] < random_level(sizes, 10).ndkl  # a fair ranking is above 0, a random one further


@pytest.mark.parametrize("group", [0, 1, 2])
def test_a_wholly_unfair_ranking_has_the_logarithm_of_one_over_the_share(group):
    sizes = np.array([60, 30, 10])
    of_query = np.full((1, 10), group)
    found = extremes(skews(group_counts(of_query, 3), sizes))
    expected = math.log(sizes.sum() / sizes[group])
    assert found.highest[0] == pytest.approx(expected) and ndkl(of_query, sizes)[0] == pytest.approx(expected)
    assert found.lowest[0] == pytest.approx(expected) and found.absent[0] == 2 and found.highest_group[0] == group  # of those there


def test_ndkl_is_that_of_a_plain_loop_and_does_not_know_the_names_of_groups():
    sizes = np.array([40, 25, 20, 15])
    ranked = np.stack([RNG.permutation(np.repeat(np.arange(4), sizes))[:30] for _ in range(20)])
    assert ndkl(ranked, sizes) == pytest.approx([plain_ndkl(one.tolist(), sizes.tolist()) for one in ranked])
    renamed = np.array([2, 0, 3, 1])
    moved = np.empty(4, dtype=int)
    moved[renamed] = sizes
    assert ndkl(renamed[ranked], moved) == pytest.approx(ndkl(ranked, sizes))


def test_an_absent_group_is_counted_and_a_group_without_images_has_no_skew():
    found = skews(np.array([[5, 0, 0]]), np.array([50, 50, 0]))
    assert found[0, 0] == pytest.approx(math.log(2)) and np.isneginf(found[0, 1]) and np.isnan(found[0, 2])
    assert extremes(found).absent.tolist() == [1]
    smoothed = smoothed_skews(np.array([[5, 0]]), np.array([50, 50]))
    assert smoothed[0] == pytest.approx([math.log((5 + 0.5) / (6 * 0.5)), math.log(0.5 / (6 * 0.5))])  # a loss shows, without an end


@pytest.mark.parametrize("k", [1, 7, 40, 100])
def test_the_first_k_are_those_of_a_stable_sort_and_ties_are_counted(k):
    similarities = RNG.integers(0, 12, 100).astype(np.float32)  # many equal ones
    expected = sorted(range(100), key=lambda place: -similarities[place])
    found = top(similarities, k)
    assert found.order.tolist() == expected[:k]
    assert found.tied == sum(similarities[a] == similarities[b] for a, b in itertools.pairwise(expected[: k + 1]))
    assert top(np.arange(100, dtype=np.float32), k).tied == 0


def test_random_rankings_of_depth_one_are_skewed_by_the_entropy_of_the_shares():
    sizes = np.array([500, 300, 200])
    shares = sizes / sizes.sum()
    level = random_level(sizes, 1, rankings=4000)
    entropy = -(shares * np.log(shares)).sum()
    assert level.max_skew == pytest.approx(entropy, abs=0.03)
    assert level.ndkl == level.max_skew == level.min_skew  # one place is one prefix of one group
    assert random_level(sizes, 1000).max_skew == pytest.approx(0, abs=1e-9)  # all of them


def test_k_is_a_tenth_of_the_images_and_at_most_a_thousand():
    assert [default_k(count) for count in (5, 100, 10_954, 108_501)] == [1, 10, 1000, 1000]


# rankings worked out by hand: ten images

GROUPS = {"kind": np.array([0, 0, 1, 0, 1, 1, 1, 0, 1, 1])}  # four of A, six of B
NAMES = {"kind": ("A", "B")}
HAND = np.array(
    [
        [9, 8, 1, 7, 2, 3, 4, 6, 5, 0],  # A A A A are the first four
        [0, 1, 9, 2, 8, 7, 6, 3, 5, 4],  # B B B B
        [9, 1, 8, 7, 6, 2, 3, 0, 4, 5],  # A B A B
        [5, 5, 5, 5, 5, 5, 5, 5, 5, 5],  # all alike: in their own order, A A B A
    ],
    dtype=np.float32,
).T
FOUR = Occupations(("baker", "doctor", "judge", "nurse"), ("A {}",), own=False, top_k=4)


def of(asked, similarities=HAND, groups=GROUPS, names=NAMES, own=None):
    return rankings(iter([similarities]), groups, names, asked, own)["kind"]


def test_two_groups_and_four_occupations_by_hand():
    found = of(FOUR)
    counts = np.stack([found.columns[f"{TOP}A"][0], found.columns[f"{TOP}B"][0]], axis=-1)
    assert counts.tolist() == [[4, 0], [0, 4], [2, 2], [3, 1]] and found.columns["tied"].tolist() == [[0, 0, 0, 4]]
    sizes = np.stack([found.fixed[f"{SIZE}A"], found.fixed[f"{SIZE}B"]], axis=-1)
    assert sizes.tolist() == [[4, 6]] * 4
    measured = extremes(skews(counts, sizes))
    expected = [math.log(1 / 0.4), math.log(1 / 0.6), math.log(0.5 / 0.4), math.log(0.75 / 0.4)]
    assert measured.highest == pytest.approx(expected) and measured.absent.tolist() == [1, 1, 0, 0]
    assert measured.lowest[2:] == pytest.approx([math.log(0.5 / 0.6), math.log(0.25 / 0.6)])
    of_first = [plain_ndkl(first, [4, 6]) for first in ([0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0])]
    assert found.columns["ndkl"][0] == pytest.approx(of_first)


def test_images_of_an_occupation_are_ranked_for_it_alone():
    own = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    asked = Occupations(("baker", "judge"), ("A {}",), own=True, top_k=2)
    found = of(asked, np.array([[9, 1, 8, 2, 3, 1, 2, 9, 3, 4]], dtype=np.float32).T, own=own)
    assert found.fixed["images"].tolist() == [5, 5] and found.fixed[f"{SIZE}A"].tolist() == [3, 1]
    assert found.columns[f"{TOP}A"].tolist() == [[1, 1]] and found.columns[f"{TOP}B"].tolist() == [[1, 1]]


def test_images_without_a_group_are_in_no_ranking():
    groups = {"kind": np.where(np.arange(10) == 0, NO_CLASS, GROUPS["kind"])}
    found = of(FOUR, groups=groups)
    assert found.fixed[f"{SIZE}A"].tolist() == [3] * 4 and found.columns[f"{TOP}A"][0].tolist() == [3, 0, 1, 2]


@pytest.mark.parametrize(
    ("asked", "groups", "own", "message"),
    [
        (Occupations(("baker",), ("A {}",), False, 11), None, None, "top_k=11 is more than the 10 images that have a group of kind"),
        (FOUR, np.ones(10, dtype=int), None, "All 10 images are of one group of kind, B: a skew compares groups"),
        (Occupations(("baker", "judge"), ("A {}",), True), None, np.zeros(10, dtype=int), "No image of judge has a group of kind"),
        (Occupations(("baker",), ("A {}",), False, paper=True), 2 * GROUPS["kind"], None, "no image is B of kind"),
    ],
)  # fmt: skip
def test_a_skew_that_is_not_defined_is_refused(asked, groups, own, message):
    names = {"kind": tuple("ABC")} if asked.paper else NAMES
    with pytest.raises(CcsError, match=message):
        of(asked, groups=GROUPS if groups is None else {"kind": groups}, names=names, own=own)


# the authors' code, told anew


def authors_skews(ranked, counts, total, k):
    """Each ranked image is a pair of similarity and group. Groups that are not there have no entry in what comes back."""
    seen = [0] * len(counts)
    for _, group in ranked[:k]:
        seen[group] += 1
    return [math.log((number / k) / (count / total)) for number, count in zip(seen, counts, strict=True) if number]


def authors_faces(similarities, groups, k):
    """All images for every occupation. Sizes stand in a dictionary that is filled as groups come, and are read as a list."""
    sizes = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    highest = lowest = 0.0
    for row in similarities.T:
        ranked = sorted(zip(row, groups, strict=True), key=lambda pair: pair[0], reverse=True)
        found = authors_skews(ranked, list(sizes.values()), len(groups), k)
        highest, lowest = highest + max(found), lowest + min(found)
    return highest, lowest


def authors_occupations(similarities, groups, own, occupations, number, k):
    """The images of each occupation. `[[]] * number` is one list under several names."""
    highest = lowest = 0.0
    for occupation in range(occupations):
        lists = [[]] * number
        for image, group in enumerate(groups):
            if own[image] == occupation:
                lists[group].append(image)
        ranked = [(similarities[image, 0], group) for group in range(number) for image in lists[group]]
        ranked.sort(key=lambda pair: pair[0], reverse=True)
        counts = [len(images) for images in lists]
        found = authors_skews(ranked, counts, sum(counts), k)
        highest, lowest = highest + max(found), lowest + min(found)
    return highest, lowest


def sums(found):
    groups = [column for column in found.columns if column.startswith(TOP)]
    in_top = np.stack([found.columns[group][0] for group in groups], axis=-1)
    sizes = np.stack([found.fixed[SIZE + group.removeprefix(TOP)] for group in groups], axis=-1)
    measured = extremes(skews(in_top, sizes))
    return measured.highest.sum(), measured.lowest.sum()


@pytest.mark.parametrize("seed", range(4))
def test_protocol_paper_is_the_authors_arithmetic(seed):
    rng = np.random.default_rng(seed)
    groups, names = rng.choice(3, size=200, p=[0.2, 0.5, 0.3]), {"kind": tuple("ABC")}
    similarities = rng.normal(size=(200, 5)).round(1) + 0.3 * groups[:, None]  # with ties, and a preference
    faces = Occupations(tuple("vwxyz"), ("A {}",), False, 20, paper=True)
    found = of(faces, similarities.astype(np.float32), {"kind": groups}, names)
    assert sums(found) == pytest.approx(authors_faces(similarities.astype(np.float32), groups.tolist(), 20))
    assert np.isnan(found.columns["ndkl"]).all()  # which they do not have
    own = rng.integers(0, 5, 200)
    drawn = Occupations(tuple("vwxyz"), ("A {}",), True, 7, paper=True)
    similarities = similarities[:, :1].astype(np.float32)
    found = of(drawn, similarities, {"kind": groups}, names, own)
    assert sums(found) == pytest.approx(authors_occupations(similarities, groups.tolist(), own, 5, 3, 7))


def test_the_authors_arithmetic_sees_no_preference_within_occupations_and_swaps_sizes_among_faces():
    """What their faults do: an unfair ranking of an occupation's images looks fair, a fair one of faces unfair."""
    unfair = np.arange(100, dtype=np.float32)
    assert group_counts(one_list_top(unfair, 2, 10)[None], 2).tolist() == [[5, 5]]
    groups = [1] * 80 + [0] * 20
    assert sizes_by_appearance(groups).tolist() == [80, 20]  # of group 1, then of group 0
    assert skews(np.array([2, 8]), sizes_by_appearance(groups)) == pytest.approx([math.log(0.2 / 0.8), math.log(0.8 / 0.2)])
